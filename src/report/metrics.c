#include "report/report.h"

#include <math.h>

void weft_report_add_number(double value, weft_text *out)
{
    if (!isfinite(value)) {
        weft_text_add(out, "null");
        return;
    }
    weft_text_add_double(out, value);
}

static void add_key(const char *key, double value, weft_text *out)
{
    weft_text_add(out, ",\"%s\":", key);
    weft_report_add_number(value, out);
}

/* What the optimizer is told is fp32: more digits than that has are noise. */
static void add_rate(double rate, weft_text *out)
{
    weft_text_add(out, ",\"learning_rate\":");
    if (isfinite(rate))
        weft_text_add_float(out, (float)rate);
    else
        weft_text_add(out, "null");
}

void weft_report_step_json(const weft_step_record *record, weft_text *out)
{
    weft_text_add(out, "{\"step\":%lld", (long long)record->step);
    add_key("loss", record->loss, out);
    add_key("gradient_norm", record->gradient_norm, out);
    add_rate(record->learning_rate, out);
    add_key("seconds", record->seconds, out);
    add_key("tokens_per_second", record->tokens_per_second, out);
    add_key("flops_per_second", record->flops_per_second, out);
    add_key("peak_share", record->peak > 0 ? record->flops_per_second / record->peak : NAN, out);
    weft_text_add(out, ",\"bubble\":[");
    for (int32_t rank = 0; record->bubble && rank < record->ranks; rank++) {
        if (rank) weft_text_add(out, ",");
        weft_report_add_number(record->bubble[rank], out);
    }
    weft_text_add(out, "]}\n");
}

void weft_report_evaluation_json(const weft_evaluation_record *record, weft_text *out)
{
    weft_text_add(out, "{\"evaluation\":true,\"step\":%lld", (long long)record->step);
    add_key("loss", record->loss, out);
    add_key("bits_per_byte", record->bits_per_byte > 0 ? record->bits_per_byte : NAN, out);
    weft_text_add(out, ",\"tokens\":%lld}\n", (long long)record->tokens);
}
