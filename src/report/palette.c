#include "report/palette.h"

static const weft_paint paints[WEFT_ACTION_KINDS] = {
#define RGB(red, green, blue) red, green, blue
#define ACTION(name, lane, place, operands, peer, programs, members, reads, writes, units, cost, cause, label, dark,   \
               light, effect)                                                                                          \
    {label, {dark}, {light}},
#include "schedule/actions.def"
#undef ACTION
#undef RGB
};

const weft_paint *weft_paint_get(weft_action_kind kind)
{
    return &paints[kind];
}

static unsigned char between(unsigned char dark, unsigned char light, int32_t index, int32_t count)
{
    if (count < 2) return dark;
    return (unsigned char)(dark + (light - dark) * (double)index / (count - 1));
}

weft_colour weft_paint_shade(const weft_paint *paint, int32_t index, int32_t count)
{
    return (weft_colour){between(paint->dark.red, paint->light.red, index, count),
                         between(paint->dark.green, paint->light.green, index, count),
                         between(paint->dark.blue, paint->light.blue, index, count)};
}

bool weft_colour_is_light(weft_colour colour)
{
    return 299 * colour.red + 587 * colour.green + 114 * colour.blue > 150 * 1000;
}
