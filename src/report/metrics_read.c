#include "report/metrics_read.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 32 };

static const char *const names[] = {[WEFT_METRICS_LOSS] = "loss",
                                    [WEFT_METRICS_GRADIENT_NORM] = "gradient_norm",
                                    [WEFT_METRICS_LEARNING_RATE] = "learning_rate",
                                    [WEFT_METRICS_TOKENS_PER_SECOND] = "tokens_per_second",
                                    [WEFT_METRICS_BITS_PER_BYTE] = "bits_per_byte",
                                    [WEFT_METRICS_CROSS_ENTROPY] = "cross_entropy",
                                    [WEFT_METRICS_LOSS_BY_SOURCE] = "loss_by_source"};

static const double most_step = 9e15;

typedef struct scan {
    const char *at, *end;
} scan;

typedef struct word {
    const char *text;
    size_t length;
} word;

const char *weft_metrics_key_name(weft_metrics_key key)
{
    return names[key];
}

static void skip_blanks(scan *from)
{
    while (from->at < from->end && (*from->at == ' ' || *from->at == '\t' || *from->at == '\r')) from->at++;
}

static bool take(scan *from, char wanted)
{
    skip_blanks(from);
    if (from->at == from->end || *from->at != wanted) return false;
    from->at++;
    return true;
}

static bool take_word(scan *from, const char *wanted)
{
    size_t length = strlen(wanted);
    if ((size_t)(from->end - from->at) < length || memcmp(from->at, wanted, length) != 0) return false;
    from->at += length;
    return true;
}

/* Between its quotes; escapes stay as they are. */
static bool take_string(scan *from, word *out)
{
    if (!take(from, '"')) return false;
    out->text = from->at;
    for (; from->at < from->end && *from->at != '"'; from->at++) {
        if ((unsigned char)*from->at < ' ') return false;
        if (*from->at == '\\' && ++from->at == from->end) return false;
    }
    out->length = (size_t)(from->at - out->text);
    return take(from, '"');
}

static bool take_digits(scan *from)
{
    const char *begin = from->at;
    while (from->at < from->end && *from->at >= '0' && *from->at <= '9') from->at++;
    return from->at > begin;
}

static bool take_number(scan *from, double *out)
{
    const char *begin = from->at;
    take_word(from, "-");
    if (!take_digits(from)) return false;
    if (take_word(from, ".") && !take_digits(from)) return false;
    if (take_word(from, "e") || take_word(from, "E")) {
        if (!take_word(from, "+")) take_word(from, "-");
        if (!take_digits(from)) return false;
    }
    *out = strtod(begin, NULL);
    return true;
}

/* What stands for no number; the last three as other writers than weft's have them. */
static bool take_none(scan *from)
{
    static const char *const words[] = {"null", "true", "false", "NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (take_word(from, words[i])) return true;
    return false;
}

static bool take_value(scan *from, int depth, double *out);

static bool take_list(scan *from, int depth)
{
    double ignored;
    if (take(from, ']')) return true;
    do {
        if (!take_value(from, depth, &ignored)) return false;
    } while (take(from, ','));
    return take(from, ']');
}

static bool take_map(scan *from, int depth)
{
    double ignored;
    word key;
    if (take(from, '}')) return true;
    do {
        if (!take_string(from, &key) || !take(from, ':') || !take_value(from, depth, &ignored)) return false;
    } while (take(from, ','));
    return take(from, '}');
}

/* Any value; NAN for what is no number. */
static bool take_value(scan *from, int depth, double *out)
{
    word text;
    *out = NAN;
    skip_blanks(from);
    if (from->at == from->end || depth == 0) return false;
    switch (*from->at) {
    case '"':
        return take_string(from, &text);
    case '[':
        return take(from, '[') && take_list(from, depth - 1);
    case '{':
        return take(from, '{') && take_map(from, depth - 1);
    default:
        return take_none(from) || take_number(from, out);
    }
}

static bool is(const word *key, const char *name)
{
    return key->length == strlen(name) && memcmp(key->text, name, key->length) == 0;
}

static bool take_member(scan *from, double *out_step, weft_metrics_line *out)
{
    word key;
    double value;
    if (!take_string(from, &key) || !take(from, ':')) return false;
    skip_blanks(from);
    const char *begin = from->at;
    if (!take_value(from, DEEPEST, &value)) return false;
    if (is(&key, "step")) *out_step = value;
    if (is(&key, names[WEFT_METRICS_LOSS_BY_SOURCE]) && *begin == '{') {
        out->sources = begin + 1;
        out->sources_end = from->at - 1;
    }
    if (is(&key, "evaluation")) out->evaluation = true;
    for (int i = 0; i < WEFT_METRICS_KEYS; i++)
        if (is(&key, names[i])) out->values[i] = value;
    return true;
}

bool weft_metrics_line_read(const char *line, size_t length, weft_metrics_line *out)
{
    scan from = {line, line + length};
    double step = NAN;
    *out = (weft_metrics_line){.step = 0};
    for (int i = 0; i < WEFT_METRICS_KEYS; i++) out->values[i] = NAN;
    if (!take(&from, '{')) return false;
    do {
        if (!take_member(&from, &step, out)) return false;
    } while (take(&from, ','));
    if (!take(&from, '}')) return false;
    skip_blanks(&from);
    if (from.at != from.end || !(step >= 1 && step <= most_step) || step != floor(step)) return false;
    out->step = (int64_t)step;
    return true;
}

bool weft_metrics_source_next(const weft_metrics_line *line, weft_metrics_source *source)
{
    scan from = {source->end ? source->end : line->sources, line->sources_end};
    word name;
    if (!line->sources || (source->end && !take(&from, ','))) return false;
    if (!take_string(&from, &name) || !take(&from, ':') || !take_value(&from, DEEPEST, &source->value)) return false;
    source->name = name.text;
    source->length = name.length;
    source->end = from.at;
    return true;
}
