/*
 * Models and clusters from files (docs/plan.md lists the keys).
 *
 * Threads: any.
 */
#ifndef WEFT_PLAN_DESCRIBE_H
#define WEFT_PLAN_DESCRIBE_H

#include "base/text.h"
#include "config/document.h"
#include "plan/machine.h"
#include "plan/model.h"

/* A configuration of weft, a config.json of Hugging Face, or YAML with the planner's own names. WEFT_INVALID at the
 * place of what is missing, unknown, out of range, or a mixture of experts. */
weft_status weft_plan_model_read(const weft_document *document, weft_plan_model *out, weft_error *error) WEFT_CHECKED;

/* A cluster; what is not given is as weft_plan_cluster_init has it. Measured layer times are taken from arena. */
weft_status weft_plan_cluster_read(const weft_document *document, weft_arena *arena, weft_plan_cluster *out,
                                   weft_error *error) WEFT_CHECKED;

/* A cluster without a kind of GPU, as YAML that weft_plan_cluster_read reads back to ten digits. */
void weft_plan_cluster_write(const weft_plan_cluster *cluster, weft_text *out);

#endif
