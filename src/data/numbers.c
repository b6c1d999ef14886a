#include "data/numbers.h"

#include <endian.h>
#include <string.h>

/* Numbers are taken in lanes side by side, which compilers turn into vectors. */
enum { LANES = 64 };

#define LARGEST(name, type, from_little)                                                                               \
    static uint64_t name(const unsigned char *bytes, size_t count)                                                     \
    {                                                                                                                  \
        type most[LANES] = {0}, part[LANES];                                                                           \
        for (; count >= LANES; count -= LANES, bytes += sizeof part) {                                                 \
            memcpy(part, bytes, sizeof part);                                                                          \
            for (size_t k = 0; k < LANES; k++) {                                                                       \
                type number = from_little(part[k]);                                                                    \
                most[k] = number > most[k] ? number : most[k];                                                         \
            }                                                                                                          \
        }                                                                                                              \
        memcpy(part, bytes, count * sizeof *part);                                                                     \
        for (size_t k = 0; k < count; k++)                                                                             \
            if (from_little(part[k]) > most[0]) most[0] = from_little(part[k]);                                        \
        for (size_t k = 1; k < LANES; k++)                                                                             \
            if (most[k] > most[0]) most[0] = most[k];                                                                  \
        return most[0];                                                                                                \
    }

#define WIDEN(name, type, from_little)                                                                                 \
    static void name(const unsigned char *bytes, size_t count, int32_t *out)                                           \
    {                                                                                                                  \
        type part[LANES];                                                                                              \
        for (; count >= LANES; count -= LANES, bytes += sizeof part, out += LANES) {                                   \
            memcpy(part, bytes, sizeof part);                                                                          \
            for (size_t k = 0; k < LANES; k++) out[k] = (int32_t)from_little(part[k]);                                 \
        }                                                                                                              \
        memcpy(part, bytes, count * sizeof *part);                                                                     \
        for (size_t k = 0; k < count; k++) out[k] = (int32_t)from_little(part[k]);                                     \
    }

LARGEST(largest8, uint8_t, (uint8_t))
LARGEST(largest16, uint16_t, le16toh)
LARGEST(largest32, uint32_t, le32toh)
LARGEST(largest64, uint64_t, le64toh)
WIDEN(widen8, uint8_t, (uint8_t))
WIDEN(widen16, uint16_t, le16toh)
WIDEN(widen32, uint32_t, le32toh)
WIDEN(widen64, uint64_t, le64toh)

static double float32_at(const unsigned char *bytes)
{
    uint32_t bits;
    float number;
    memcpy(&bits, bytes, sizeof bits);
    bits = le32toh(bits);
    memcpy(&number, &bits, sizeof number);
    return (double)number;
}

static double float64_at(const unsigned char *bytes)
{
    uint64_t bits;
    double number;
    memcpy(&bits, bytes, sizeof bits);
    bits = le64toh(bits);
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* Numbers of a type are those of its width, read without a sign: a negative one is larger than its type can hold. */
static const struct {
    uint32_t width;
    uint64_t most;
    uint64_t (*largest)(const unsigned char *bytes, size_t count);
    void (*widen)(const unsigned char *bytes, size_t count, int32_t *out);
    double (*real)(const unsigned char *bytes); /* or NULL: whole numbers */
} types[] = {
    [WEFT_NUMBER_UINT8] = {1, UINT8_MAX, largest8, widen8, NULL},
    [WEFT_NUMBER_UINT16] = {2, UINT16_MAX, largest16, widen16, NULL},
    [WEFT_NUMBER_UINT32] = {4, INT32_MAX, largest32, widen32, NULL},
    [WEFT_NUMBER_INT8] = {1, INT8_MAX, largest8, widen8, NULL},
    [WEFT_NUMBER_INT16] = {2, INT16_MAX, largest16, widen16, NULL},
    [WEFT_NUMBER_INT32] = {4, INT32_MAX, largest32, widen32, NULL},
    [WEFT_NUMBER_INT64] = {8, INT32_MAX, largest64, widen64, NULL},
    [WEFT_NUMBER_FLOAT32] = {4, INT32_MAX, NULL, NULL, float32_at},
    [WEFT_NUMBER_FLOAT64] = {8, INT32_MAX, NULL, NULL, float64_at},
};

uint32_t weft_number_width(weft_number_type type)
{
    return types[type].width;
}

uint64_t weft_number_largest(weft_number_type type)
{
    return types[type].most;
}

static double whole_at(const unsigned char *bytes, weft_number_type type)
{
    uint64_t bits = types[type].largest(bytes, 1), sign = UINT64_C(1) << (8 * types[type].width - 1);
    if (type < WEFT_NUMBER_INT8 || bits < sign) return (double)bits;
    return -(double)(sign - 1 - (bits - sign)) - 1;
}

double weft_number_at(const unsigned char *bytes, size_t index, weft_number_type type)
{
    bytes += index * types[type].width;
    return types[type].real ? types[type].real(bytes) : whole_at(bytes, type);
}

bool weft_numbers_fit(const unsigned char *bytes, size_t count, weft_number_type type, uint32_t last)
{
    if (last > types[type].most) last = (uint32_t)types[type].most;
    if (!types[type].real) return types[type].largest(bytes, count) <= last;
    for (size_t i = 0; i < count; i++) {
        double number = weft_number_at(bytes, i, type);
        if (!(number >= 0 && number <= last) || (double)(int32_t)number != number) return false;
    }
    return true;
}

uint32_t weft_numbers_largest(const unsigned char *bytes, size_t count, weft_number_type type)
{
    if (!types[type].real) return (uint32_t)types[type].largest(bytes, count);
    uint32_t largest = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t number = (uint32_t)weft_number_at(bytes, i, type);
        if (number > largest) largest = number;
    }
    return largest;
}

void weft_numbers_widen(const unsigned char *bytes, size_t count, weft_number_type type, int32_t *out)
{
    if (!types[type].real) {
        types[type].widen(bytes, count, out);
        return;
    }
    for (size_t i = 0; i < count; i++) out[i] = (int32_t)weft_number_at(bytes, i, type);
}
