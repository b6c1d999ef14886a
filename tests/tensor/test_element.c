/* Element types and what they round to. */
#include "tensor/element.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { INFINITE = 0x7c00 };

/* What the 16 bits mean, by the definition. */
static double meaning(uint16_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return bits & 0x8000 ? -value : value;
}

static void test_every_half(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        float value = weft_fp16_to_float((uint16_t)bits);
        if ((bits & 0x7fff) > INFINITE) {
            assert_true(isnan(value) && isnan(weft_fp16_to_float(weft_fp16_from_float(value))));
            continue;
        }
        assert_int_equal(weft_fp16_from_float(value), bits);
        if ((bits & 0x7fff) == INFINITE)
            assert_true(isinf(value));
        else
            assert_true((double)value == meaning((uint16_t)bits));
    }
}

/* Between two neighbours: the nearer one, in the middle the even one. */
static void test_rounding_of_halves(void **state)
{
    (void)state;
    for (uint32_t low = 0; low < INFINITE; low++) {
        double a = meaning((uint16_t)low), b = low + 1 == INFINITE ? 65536 : meaning((uint16_t)(low + 1));
        float middle = (float)((a + b) / 2); /* exact */
        for (int sign = 0; sign < 2; sign++) {
            uint32_t minus = sign ? 0x8000u : 0;
            float by = sign ? -1.0f : 1.0f;
            assert_int_equal(weft_fp16_from_float(by * middle), minus | (low % 2 ? low + 1 : low));
            assert_int_equal(weft_fp16_from_float(by * nextafterf(middle, 0)), minus | low);
            assert_int_equal(weft_fp16_from_float(by * nextafterf(middle, 1e30f)), minus | (low + 1));
        }
    }
    assert_int_equal(weft_fp16_from_float(1e30f), INFINITE);
    assert_int_equal(weft_fp16_from_float(-INFINITY), 0x8000 | INFINITE);
}

/* Arrays of any type, at any address. */
static void test_arrays(void **state)
{
    (void)state;
    const float values[3] = {1.5f, -0.25f, 3.0f};
    for (int element = WEFT_FP32; element <= WEFT_FP16; element++) {
        unsigned char bytes[16];
        float back[3] = {0};
        weft_element_from_float((weft_element)element, values, 3, bytes + 1);
        weft_element_to_float((weft_element)element, bytes + 1, 3, back);
        assert_memory_equal(back, values, sizeof back);
    }
}

/* The next number above the largest is infinite. */
static void test_largest(void **state)
{
    (void)state;
    for (int element = WEFT_FP32; element <= WEFT_FP16; element++) {
        unsigned char bytes[8];
        float largest = weft_element_largest((weft_element)element), back[2];
        const float values[2] = {-largest, nextafterf(largest, INFINITY)};
        weft_element_from_float((weft_element)element, values, 2, bytes);
        weft_element_to_float((weft_element)element, bytes, 2, back);
        assert_true(isfinite(back[0]) && isinf(back[1]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_half), cmocka_unit_test(test_rounding_of_halves),
                                       cmocka_unit_test(test_arrays), cmocka_unit_test(test_largest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
