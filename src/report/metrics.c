#include "report/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void weft_report_add_number(double value, weft_text *out)
{
    if (!isfinite(value)) {
        weft_text_add(out, "null");
        return;
    }
    char text[32];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    weft_text_add(out, "%s", text);
}

static void add_key(const char *key, double value, weft_text *out)
{
    weft_text_add(out, ",\"%s\":", key);
    weft_report_add_number(value, out);
}

void weft_report_step_json(const weft_step_record *record, weft_text *out)
{
    weft_text_add(out, "{\"step\":%lld", (long long)record->step);
    add_key("loss", record->loss, out);
    add_key("gradient_norm", record->gradient_norm, out);
    add_key("learning_rate", record->learning_rate, out);
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
