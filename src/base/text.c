#include "base/text.h"

#include "base/utf8.h"

#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void weft_text_init(weft_text *text)
{
    *text = (weft_text){0};
}

void weft_text_fini(weft_text *text)
{
    weft_free(text->bytes);
    *text = (weft_text){0};
}

static bool make_room(weft_text *text, size_t more)
{
    if (text->failed) return false;
    if (more < text->capacity - text->length) return true;
    if (weft_grow(&text->bytes, &text->capacity, text->length + more + 1, 1, NULL) != WEFT_OK) text->failed = true;
    return !text->failed;
}

void weft_text_add_bytes(weft_text *text, const void *bytes, size_t count)
{
    if (!make_room(text, count)) return;
    if (count) memcpy(text->bytes + text->length, bytes, count);
    text->length += count;
    text->bytes[text->length] = '\0';
}

void weft_text_add(weft_text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int need = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (need >= 0 && make_room(text, (size_t)need)) {
        vsnprintf(text->bytes + text->length, (size_t)need + 1, format, again);
        text->length += (size_t)need;
    }
    va_end(again);
}

void weft_text_add_number(weft_text *text, int digits, double value)
{
    char number[40];
    size_t length = (size_t)snprintf(number, sizeof number, "%.*g", digits, value);
    const char *exponent = memchr(number, 'e', length);
    size_t begin = exponent ? (size_t)(exponent - number) : length;
    weft_text_add_bytes(text, number, begin);
    if (!exponent) return;
    if (!memchr(number, '.', begin)) weft_text_add_bytes(text, ".0", 2);
    weft_text_add_bytes(text, exponent, length - begin);
}

enum { FEWEST_DIGITS = 6, DIGITS_OF_FLOAT = 9, DIGITS_OF_DOUBLE = 17 };

/* Significant digits of a number of so many, without the zeros at its end. */
static int count_digits(double value, int digits)
{
    char number[40];
    snprintf(number, sizeof number, "%.*e", digits - 1, value);
    const char *last = strchr(number, 'e') - 1;
    while (digits > FEWEST_DIGITS && *last-- == '0') digits--;
    return digits;
}

/* A decimal number of DBL_DIG digits or fewer is the one that its double has with DBL_DIG digits: what reads back from
 * those needs no search. Subnormal numbers have fewer bits. */
void weft_text_add_double(weft_text *text, double value)
{
    char number[40];
    bool subnormal = fpclassify(value) == FP_SUBNORMAL;
    int digits = subnormal ? FEWEST_DIGITS : DBL_DIG;
    for (; digits < DIGITS_OF_DOUBLE; digits++) {
        snprintf(number, sizeof number, "%.*g", digits, value);
        if (strtod(number, NULL) == value) break;
    }
    if (!subnormal && digits == DBL_DIG) digits = count_digits(value, digits);
    weft_text_add_number(text, digits, value);
}

void weft_text_add_float(weft_text *text, float value)
{
    char number[40];
    int digits = FEWEST_DIGITS;
    for (; digits < DIGITS_OF_FLOAT; digits++) {
        snprintf(number, sizeof number, "%.*g", digits, (double)value);
        if (strtof(number, NULL) == value) break;
    }
    weft_text_add_number(text, digits, (double)value);
}

void weft_text_add_count(weft_text *text, int64_t count, const char *noun)
{
    size_t length = strlen(noun);
    const char *end = length > 2 ? noun + length - 2 : "";
    bool hisses = strcmp(end, "ch") == 0 || strcmp(end, "ss") == 0;
    weft_text_add(text, "%lld %s%s%s", (long long)count, noun, hisses && count != 1 ? "e" : "",
                  weft_text_plural(count));
}

const char *weft_text_plural(int64_t count)
{
    return count == 1 ? "" : "s";
}

double weft_text_figure(double value, int decimals)
{
    char number[32]; /* the beginning of a long one, which is not 0, is enough */
    snprintf(number, sizeof number, "%.*f", decimals, fabs(value));
    return strspn(number, "0.") == strlen(number) ? 0 : value;
}

void weft_text_add_change(weft_text *text, int width, int decimals, double value)
{
    double shown = weft_text_figure(value, decimals);
    weft_text_add(text, shown == 0 ? "%*.*f" : "%+*.*f", width, decimals, shown);
}

void weft_text_add_int(weft_text *text, int64_t value)
{
    char digits[24], *at = digits + sizeof digits;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do *--at = (char)('0' + left % 10);
    while (left /= 10);
    if (value < 0) *--at = '-';
    weft_text_add_bytes(text, at, (size_t)(digits + sizeof digits - at));
}

/* Bytes from string on that stand for themselves. */
static size_t count_plain(const char *string, bool script)
{
    size_t count = 0;
    for (unsigned char c; (c = (unsigned char)string[count]) >= 0x20 && c < 0x7f; count++)
        if (c == '"' || c == '\\' || (script && c == '<')) break;
    return count;
}

static void add_quoted(weft_text *text, const char *string, bool script)
{
    weft_text_add_bytes(text, "\"", 1);
    for (;;) {
        uint32_t code = 0;
        size_t plain = count_plain(string, script);
        weft_text_add_bytes(text, string, plain);
        string += plain;
        if (!*string) break;
        int length = weft_utf8_next(string, &code);
        if (length == 0)
            weft_text_add_bytes(text, "\\ufffd", 6);
        else if (code == '"' || code == '\\')
            weft_text_add(text, "\\%c", (int)code);
        else if (weft_utf8_needs_escape(code) || code == '<')
            weft_text_add(text, "\\u%04x", (unsigned)code);
        else
            weft_text_add_bytes(text, string, (size_t)length);
        string += length ? length : 1;
    }
    weft_text_add_bytes(text, "\"", 1);
}

void weft_text_add_json(weft_text *text, const char *string)
{
    add_quoted(text, string, false);
}

void weft_text_add_script(weft_text *text, const char *string)
{
    add_quoted(text, string, true);
}

void weft_text_add_xml(weft_text *text, const char *string)
{
    for (const char *c = string; *c; c++) {
        if (*c == '&')
            weft_text_add(text, "&amp;");
        else if (*c == '<')
            weft_text_add(text, "&lt;");
        else if (*c == '>')
            weft_text_add(text, "&gt;");
        else if (*c == '"')
            weft_text_add(text, "&quot;");
        else
            weft_text_add_bytes(text, c, 1);
    }
}

weft_status weft_text_check(const weft_text *text, weft_error *error)
{
    if (text->failed) FAIL(error, WEFT_NO_MEMORY, "out of memory while writing text of %zu bytes", text->length);
    return WEFT_OK;
}

const char *weft_text_get(const weft_text *text)
{
    return text->bytes ? text->bytes : "";
}

weft_status weft_text_begin(const char **text, size_t *length, const char *name, weft_error *error)
{
    const unsigned char *c = (const unsigned char *)*text;
    size_t count = *length;
    bool marked = count >= 2 && ((c[0] == 0xff && c[1] == 0xfe) || (c[0] == 0xfe && c[1] == 0xff));
    bool wide = count >= 4 && (!c[0] != !c[1] || memcmp(c, "\0\0\xfe\xff", 4) == 0);
    if (marked || wide)
        FAIL(error, WEFT_INVALID, "%s: is text of two or four bytes a character (UTF-16 or UTF-32); save it as UTF-8",
             name);
    if (count < 3 || memcmp(c, "\xef\xbb\xbf", 3) != 0) return WEFT_OK;
    *text += 3;
    *length -= 3;
    return WEFT_OK;
}

static bool starts_like_a_number(const char *string)
{
    return isdigit((unsigned char)*string) || *string == '-' || *string == '+' || *string == '.';
}

bool weft_parse_int(const char *string, int64_t *out)
{
    if (!starts_like_a_number(string)) return false;
    char *end = NULL;
    errno = 0;
    long long value = strtoll(string, &end, 10);
    if (errno || end == string || *end) return false;
    *out = value;
    return true;
}

bool weft_parse_double(const char *string, double *out)
{
    if (!starts_like_a_number(string)) return false;
    char *end = NULL;
    double value = strtod(string, &end);
    if (end == string || *end || !isfinite(value)) return false;
    *out = value;
    return true;
}

enum { LONGEST_NAME = 63 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Of the beginnings of a and b: inserted, dropped, replaced and swapped characters (restricted Damerau-Levenshtein). */
static int count_edits(const char *a, size_t rows, const char *b, size_t columns)
{
    int before[LONGEST_NAME + 1] = {0}, previous[LONGEST_NAME + 1], current[LONGEST_NAME + 1];
    for (size_t j = 0; j <= columns; j++) previous[j] = (int)j;
    for (size_t i = 1; i <= rows; i++) {
        current[0] = (int)i;
        for (size_t j = 1; j <= columns; j++) {
            int replace = previous[j - 1] + (a[i - 1] != b[j - 1]);
            current[j] = least(replace, least(current[j - 1], previous[j]) + 1);
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) current[j] = least(current[j], before[j - 2] + 1);
        }
        memcpy(before, previous, sizeof before);
        memcpy(previous, current, sizeof previous);
    }
    return previous[columns];
}

int weft_text_distance(const char *word, const char *name)
{
    size_t rows = strlen(word), columns = strlen(name);
    if (rows > LONGEST_NAME || columns > LONGEST_NAME) return -1;
    int edits = count_edits(word, rows, name, columns);
    return edits <= (int)(rows > columns ? rows : columns) / 3 ? edits : -1;
}

int weft_text_nearest(const char *word, const char *const *names, int count)
{
    int best = -1, fewest = LONGEST_NAME;
    for (int i = 0; i < count; i++) {
        int edits = weft_text_distance(word, names[i]);
        if (edits < 0 || edits >= fewest) continue;
        fewest = edits;
        best = i;
    }
    return best;
}
