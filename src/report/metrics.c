#include "report/report.h"

#include <math.h>

/* What the optimizer is told is fp32: more digits than that has are noise. */
static void add_rate(weft_json *json, double rate)
{
    if (isfinite(rate))
        weft_text_add_float(weft_json_item(json, "learning_rate"), (float)rate);
    else
        weft_json_null(json, "learning_rate");
}

static void add_skipped(weft_json *json, const weft_step_record *record)
{
    weft_json_truth(json, "skipped", true);
    weft_json_text(json, "skipped_for", record->skipped == WEFT_SKIPPED_LOSS ? "loss" : "gradient_norm");
    weft_json_number(json, "limit", record->limit);
}

static void add_sources(weft_json *json, const weft_step_record *record)
{
    weft_json_object(json, "loss_by_source", WEFT_JSON_ROW);
    for (int32_t s = 0; s < record->source_count; s++)
        weft_json_number(json, record->sources[s].path, record->sources[s].loss);
    weft_json_object_end(json);
}

void weft_report_step_json(const weft_step_record *record, weft_text *out)
{
    weft_json json = weft_json_begin(out, WEFT_JSON_TIGHT);
    weft_json_object(&json, NULL, WEFT_JSON_ROW);
    weft_json_int(&json, "step", record->step);
    weft_json_number(&json, "loss", record->loss);
    if (record->adds) weft_json_number(&json, "cross_entropy", record->cross_entropy);
    if (record->source_count > 0) add_sources(&json, record);
    weft_json_number(&json, "gradient_norm", record->gradient_norm);
    add_rate(&json, record->learning_rate);
    if (record->skipped) add_skipped(&json, record);
    weft_json_number(&json, "seconds", record->seconds);
    weft_json_number(&json, "tokens_per_second", record->tokens_per_second);
    weft_json_number(&json, "flops_per_second", record->flops_per_second);
    weft_json_number(&json, "peak_share", record->peak > 0 ? record->flops_per_second / record->peak : NAN);
    weft_json_list(&json, "bubble", WEFT_JSON_ROW);
    for (int32_t rank = 0; record->bubble && rank < record->ranks; rank++)
        weft_json_number(&json, NULL, record->bubble[rank]);
    weft_json_list_end(&json);
    weft_json_object_end(&json);
    weft_text_add(out, "\n");
}

void weft_report_causes_json(weft_json *json, const weft_program *program, const double *cause, int digits)
{
    weft_json_object(json, "bubble_by_cause", WEFT_JSON_ROW);
    for (int i = 0; i < WEFT_BUBBLE_CAUSES; i++) {
        if (!weft_bubble_cause_is_there(program, (weft_bubble_cause)i)) continue;
        const char *name = weft_bubble_cause_name((weft_bubble_cause)i);
        if (!weft_bubble_cause_is_there(program, (weft_bubble_cause)i)) continue;
        if (digits)
            weft_json_rounded(json, name, digits, cause[i]);
        else
            weft_json_number(json, name, cause[i]);
    }
    weft_json_object_end(json);
}

void weft_report_evaluation_json(const weft_evaluation_record *record, weft_text *out)
{
    weft_json json = weft_json_begin(out, WEFT_JSON_TIGHT);
    weft_json_object(&json, NULL, WEFT_JSON_ROW);
    weft_json_truth(&json, "evaluation", true);
    weft_json_int(&json, "step", record->step);
    weft_json_number(&json, "loss", record->loss);
    weft_json_number(&json, "bits_per_byte", record->bits_per_byte > 0 ? record->bits_per_byte : NAN);
    weft_json_int(&json, "tokens", record->tokens);
    weft_json_object_end(&json);
    weft_text_add(out, "\n");
}
