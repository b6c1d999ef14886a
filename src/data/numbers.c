#include "data/numbers.h"

#include <endian.h>
#include <string.h>

/* Numbers are taken in lanes side by side, which compilers turn into vectors. */
enum { LANES = 64 };

#define LARGEST(name, type, from_little)                                                                               \
    static uint32_t name(const unsigned char *bytes, size_t count)                                                     \
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
WIDEN(widen8, uint8_t, (uint8_t))
WIDEN(widen16, uint16_t, le16toh)
WIDEN(widen32, uint32_t, le32toh)

uint32_t weft_number_at(const unsigned char *bytes, size_t index, uint32_t width)
{
    return weft_numbers_largest(bytes + index * width, 1, width);
}

uint32_t weft_numbers_largest(const unsigned char *bytes, size_t count, uint32_t width)
{
    if (width == 1) return largest8(bytes, count);
    return width == 2 ? largest16(bytes, count) : largest32(bytes, count);
}

void weft_numbers_widen(const unsigned char *bytes, size_t count, uint32_t width, int32_t *out)
{
    if (width == 1)
        widen8(bytes, count, out);
    else if (width == 2)
        widen16(bytes, count, out);
    else
        widen32(bytes, count, out);
}
