#include "xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

int count_of(const char *text, const char *word)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word)) count++;
    return count;
}

/* One tag: its attributes have quoted values. Returns where it ends, and whether it closes itself. */
static const char *read_attributes(const char *at, bool *closed)
{
    while (*at && *at != '>' && *at != '/') {
        assert_int_equal(*at++, ' ');
        at += strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
        assert_memory_equal(at, "=\"", 2);
        at += 2 + strcspn(at + 2, "\"<");
        assert_int_equal(*at++, '"');
    }
    *closed = *at == '/';
    at += *closed;
    assert_int_equal(*at, '>');
    return at + 1;
}

/* A small check of well-formed XML: tags are balanced, entities are known, one root. */
void check_well_formed(const char *at)
{
    enum { DEPTH = 16, NAME = 16 };
    char open[DEPTH][NAME];
    int depth = 0, roots = 0;
    while (*at) {
        if (*at == '&')
            assert_true(!strncmp(at, "&amp;", 5) || !strncmp(at, "&lt;", 4) || !strncmp(at, "&gt;", 4) ||
                        !strncmp(at, "&quot;", 6));
        if (*at != '<') {
            at++;
            continue;
        }
        bool closing = at[1] == '/', closed = false;
        char name[NAME] = "";
        at += 1 + closing;
        size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz");
        assert_true(length > 0 && length < NAME);
        memcpy(name, at, length);
        at = read_attributes(at + length, &closed);
        if (closing) {
            assert_true(depth > 0);
            assert_string_equal(open[--depth], name);
        } else if (!closed) {
            roots += depth == 0;
            assert_true(depth < DEPTH);
            memcpy(open[depth++], name, NAME);
        }
    }
    assert_int_equal(depth, 0);
    assert_int_equal(roots, 1);
}
