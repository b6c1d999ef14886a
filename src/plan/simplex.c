/* Source: Nelder and Mead, A simplex method for function minimization, The Computer Journal 7(4), 1965. */
#include "plan/simplex.h"

#include <math.h>
#include <string.h>

enum { MOST = WEFT_PLAN_SIMPLEX_MOST, ROUNDS = 400 };

typedef struct simplex {
    weft_plan_loss *loss;
    const void *context;
    int count; /* numbers; there is one point more */
    double point[MOST + 1][MOST], value[MOST + 1];
} simplex;

static void order(simplex *s)
{
    for (int i = 1; i <= s->count; i++)
        for (int k = i; k > 0 && s->value[k] < s->value[k - 1]; k--) {
            double point[MOST], value = s->value[k];
            memcpy(point, s->point[k], sizeof point);
            memcpy(s->point[k], s->point[k - 1], sizeof point);
            memcpy(s->point[k - 1], point, sizeof point);
            s->value[k] = s->value[k - 1];
            s->value[k - 1] = value;
        }
}

/* The worst point thrown over the middle of the others, so far. */
static double throw_worst(const simplex *s, double distance, double *out)
{
    for (int i = 0; i < s->count; i++) {
        double middle = 0;
        for (int k = 0; k < s->count; k++) middle += s->point[k][i] / s->count;
        out[i] = middle + distance * (middle - s->point[s->count][i]);
    }
    return s->loss(s->context, out);
}

static void replace_worst(simplex *s, const double *point, double value)
{
    memcpy(s->point[s->count], point, (size_t)s->count * sizeof *point);
    s->value[s->count] = value;
}

static void shrink(simplex *s)
{
    for (int k = 1; k <= s->count; k++) {
        for (int i = 0; i < s->count; i++) s->point[k][i] = (s->point[0][i] + s->point[k][i]) / 2;
        s->value[k] = s->loss(s->context, s->point[k]);
    }
}

static void move(simplex *s)
{
    double first[MOST], second[MOST], value = throw_worst(s, 1, first);
    if (value < s->value[0]) {
        double farther = throw_worst(s, 2, second);
        replace_worst(s, farther < value ? second : first, farther < value ? farther : value);
    } else if (value < s->value[s->count - 1]) {
        replace_worst(s, first, value);
    } else {
        double nearer = throw_worst(s, value < s->value[s->count] ? 0.5 : -0.5, second);
        if (nearer < fmin(value, s->value[s->count]))
            replace_worst(s, second, nearer);
        else
            shrink(s);
    }
}

double weft_plan_descend(weft_plan_loss *loss, const void *context, int count, const double *steps, double *out)
{
    simplex s = {.loss = loss, .context = context, .count = count};
    for (int k = 1; k <= count; k++) s.point[k][k - 1] = steps[k - 1];
    for (int k = 0; k <= count; k++) s.value[k] = loss(context, s.point[k]);
    order(&s);
    for (int round = 0; round < ROUNDS && s.value[count] - s.value[0] > 1e-6 * s.value[0]; round++) {
        move(&s);
        order(&s);
    }
    memcpy(out, s.point[0], (size_t)count * sizeof *out);
    return s.value[0];
}
