/*
 * What the tests of devices are run for: every kind in both element types. Included by programs of tests, with cmocka.
 *
 * Threads: the test's.
 */
#ifndef WEFT_TESTS_DEVICE_SUBJECTS_H
#define WEFT_TESTS_DEVICE_SUBJECTS_H

#include "operations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* A kind of device, by name, with an element type: it may not be in this build. */
typedef struct test_subject {
    const char *name;
    weft_element element;
} test_subject;

static test_subject subjects[] = {{"reference", WEFT_FP32}, {"reference", WEFT_BF16}, {"cpu", WEFT_FP32},
                                  {"cpu", WEFT_BF16},       {"deferred", WEFT_FP32},  {"deferred", WEFT_BF16},
                                  {"cuda", WEFT_FP32},      {"cuda", WEFT_BF16}};

static inline const weft_device_kind *kind_or_skip(const test_subject *subject)
{
    const weft_device_kind *kind = weft_device_kind_find(subject->name);
    if (kind == NULL || !kind_is_here(kind)) skip();
    return kind;
}

/* A test for one of the subjects, for those of every kind in fp32, and for all. Their names have the kind's. */
#define CASE(test, label, index)                                                                                       \
    {                                                                                                                  \
        .name = #test " " label, .test_func = test, .initial_state = &subjects[index]                                  \
    }
#define ALL_KINDS(test)                                                                                                \
    CASE(test, "reference fp32", 0), CASE(test, "cpu fp32", 2), CASE(test, "deferred fp32", 4),                        \
        CASE(test, "cuda fp32", 6)
#define ALL_SUBJECTS(test)                                                                                             \
    ALL_KINDS(test), CASE(test, "reference bf16", 1), CASE(test, "cpu bf16", 3), CASE(test, "deferred bf16", 5),       \
        CASE(test, "cuda bf16", 7)

#endif
