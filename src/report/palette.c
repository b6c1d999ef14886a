#include "report/palette.h"

static const weft_paint paints[WEFT_ACTION_KINDS] = {
    [WEFT_F] = {"forward", {31, 95, 168}, {158, 203, 243}},
    [WEFT_B] = {"backward", {27, 120, 72}, {165, 219, 167}},
    [WEFT_I] = {"gradient of input", {13, 128, 126}, {148, 222, 214}},
    [WEFT_W] = {"gradient of weights", {181, 110, 14}, {246, 209, 130}},
    [WEFT_SEND_F] = {"send forward", {92, 148, 208}, {92, 148, 208}},
    [WEFT_RECV_F] = {"receive forward", {150, 190, 230}, {150, 190, 230}},
    [WEFT_SEND_B] = {"send backward", {88, 164, 112}, {88, 164, 112}},
    [WEFT_RECV_B] = {"receive backward", {152, 206, 160}, {152, 206, 160}},
    [WEFT_UNSHARD] = {"gather weights", {122, 92, 168}, {122, 92, 168}},
    [WEFT_RESHARD] = {"drop weights", {196, 180, 222}, {196, 180, 222}},
    [WEFT_REDUCE_GRAD] = {"reduce gradients", {140, 86, 75}, {140, 86, 75}},
    [WEFT_REDUCE_TENSOR] = {"reduce parts of gradients", {160, 112, 60}, {160, 112, 60}},
    [WEFT_REDUCE_TIED] = {"reduce shared gradients", {170, 100, 130}, {170, 100, 130}},
    [WEFT_NORM] = {"gradient norm", {97, 104, 117}, {97, 104, 117}},
    [WEFT_UPDATE] = {"update", {190, 70, 55}, {240, 165, 150}},
    [WEFT_METRICS] = {"metrics", {160, 166, 176}, {160, 166, 176}},
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
