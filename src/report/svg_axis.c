#include "report/canvas.h"

double weft_canvas_tick(double length)
{
    static const double factors[] = {1, 2, 5};
    double power = 1;
    while (power > length / 10) power /= 10;
    for (;; power *= 10)
        for (int i = 0; i < 3; i++)
            if (factors[i] * power * 10 >= length) return factors[i] * power;
}

int weft_canvas_tick_decimals(double tick)
{
    int decimals = 0;
    for (; tick < 0.999 && decimals < 15; tick *= 10) decimals++;
    return decimals;
}

double weft_canvas_draw_axis(const weft_canvas *canvas)
{
    weft_text *out = canvas->out;
    double bottom = weft_canvas_bottom(canvas), scale = canvas->picture->unit_scale, length = canvas->span * scale;
    if (length > 1e-300 && length < 1e300) {
        double tick = weft_canvas_tick(length);
        int decimals = weft_canvas_tick_decimals(tick);
        for (int i = 0; i * tick <= length * (1 + 1e-9); i++) {
            double x = weft_canvas_x(canvas, i * tick / scale);
            weft_text_add(out,
                          "<line x1=\"%.2f\" y1=\"%.1f\" x2=\"%.2f\" y2=\"%.1f\" stroke=\"#1d2733\" "
                          "stroke-opacity=\".16\"/>\n",
                          x, canvas->top - 4, x, bottom + 4);
            weft_text_add(out,
                          "<text x=\"%.2f\" y=\"%.1f\" font-size=\"12\" fill=\"#55606e\" text-anchor=\"middle\">%.*f"
                          "</text>\n",
                          x, bottom + 18, decimals, i * tick);
        }
    }
    weft_text_add(out, "<text x=\"%d\" y=\"%.1f\" font-size=\"12\" fill=\"#55606e\">", WEFT_CANVAS_RIGHT + 12,
                  bottom + 18);
    weft_text_add_xml(out, canvas->picture->unit && *canvas->picture->unit ? canvas->picture->unit : "time");
    weft_text_add(out, "</text>\n");
    return bottom + 30;
}
