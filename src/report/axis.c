#include "report/axis.h"

#include <math.h>

enum { FEWEST_DIGITS = 4, MOST_DIGITS = 15 };

static const double widest = 1e300, narrowest = 1e-290; /* so that nothing on the way is infinite, or 0 */

bool weft_axis_can_show(const weft_axis *axis, double value)
{
    return isfinite(value) && fabs(value) <= widest && (!axis->logarithmic || value >= 1 / widest);
}

void weft_axis_include(weft_axis *axis, double value)
{
    if (!axis->any) axis->least = axis->most = value;
    axis->any = true;
    if (value < axis->least) axis->least = value;
    if (value > axis->most) axis->most = value;
}

void weft_axis_close(weft_axis *axis, bool from_zero)
{
    if (!axis->any) axis->least = axis->most = 1;
    axis->digits = FEWEST_DIGITS;
    if (axis->logarithmic || from_zero) {
        axis->least = axis->logarithmic ? axis->least / 1.12 : 0;
        axis->most = axis->most > 0 ? axis->most * 1.12 : 1;
        return;
    }
    double size = fmax(fabs(axis->least), fabs(axis->most)), room = (axis->most - axis->least) * 0.03;
    if (!(room > size * 1e-12)) room = size * 0.05;
    if (size < narrowest) room = 1;
    axis->least -= room;
    axis->most += room;
}

/* The quotient of the ends may be infinite. */
static double decades(const weft_axis *axis)
{
    return log10(axis->most) - log10(axis->least);
}

double weft_axis_place(const weft_axis *axis, double value)
{
    double share = axis->logarithmic ? (log10(value) - log10(axis->least)) / decades(axis)
                                     : (value - axis->least) / (axis->most - axis->least);
    return axis->from + share * (axis->to - axis->from);
}

/* Powers of ten, every so many where there are many; 2 and 5 times them where there is room; finer where the axis is
 * short of a decade. */
static int logarithmic_ticks(const weft_axis *axis, double room, double *ticks)
{
    static const double fine[] = {1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9}, coarse[] = {1, 2, 5};
    double decade = fabs(axis->to - axis->from) / decades(axis), last = 0;
    bool is_short = axis->most < 8 * axis->least;
    const double *steps = is_short ? fine : coarse;
    int count = is_short ? (int)(sizeof fine / sizeof *fine) : decade > 3.4 * room ? 3 : 1, found = 0;
    int power = (int)floor(log10(axis->least)), stride = decade < room ? (int)ceil(room / decade) : 1;
    for (; power <= (int)ceil(log10(axis->most)); power++)
        for (int i = 0; i < count && found < WEFT_AXIS_TICKS && power % stride == 0; i++) {
            double value = steps[i] * pow(10, power), at = 0;
            if (value < axis->least || value > axis->most) continue;
            at = weft_axis_place(axis, value);
            if (found && fabs(at - last) < room) continue;
            last = at;
            ticks[found++] = value;
        }
    return found;
}

/* The least of 1, 2 and 5 times powers of ten that is no less. */
static double round_up(double step)
{
    static const double factors[] = {1, 2, 5, 10};
    double power = pow(10, floor(log10(step)));
    for (int i = 0; i < 3; i++)
        if (factors[i] * power >= step * (1 - 1e-9)) return factors[i] * power;
    return factors[3] * power;
}

static int linear_ticks(weft_axis *axis, double room, double *ticks)
{
    double span = axis->most - axis->least, step = round_up(span * room / fabs(axis->to - axis->from));
    if (axis->whole && step < 1) step = 1;
    int found = 0;
    for (double i = ceil(axis->least / step); i * step <= axis->most && found < WEFT_AXIS_TICKS; i++)
        ticks[found++] = i * step + 0.0; /* no -0 */
    double size = fmax(fabs(axis->least), fabs(axis->most));
    axis->digits = 1 + (int)ceil(log10(size / step));
    if (axis->digits < FEWEST_DIGITS) axis->digits = FEWEST_DIGITS;
    if (axis->digits > MOST_DIGITS) axis->digits = MOST_DIGITS;
    return found;
}

int weft_axis_ticks(weft_axis *axis, double room, double ticks[WEFT_AXIS_TICKS])
{
    return axis->logarithmic ? logarithmic_ticks(axis, room, ticks) : linear_ticks(axis, room, ticks);
}

void weft_axis_add_number(const weft_axis *axis, double value, weft_text *out)
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P"};
    int unit = 0;
    for (; fabs(value) < 1e18 && fabs(value) >= (unit ? 999.5 : 9999.5) && unit < 5; unit++) value /= 1000;
    weft_text_add(out, "%.*g%s", axis->digits, value, units[unit]);
}
