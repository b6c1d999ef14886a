/* A model file and a cluster file. What is accepted makes a question that is answered or refused in one line, by
 * layouts that fit. */
#include "fuzz.h"

#include "plan/advice.h"
#include "plan/describe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool read_model(const char *text, weft_plan_model *out)
{
    weft_document document;
    weft_error error;
    weft_error_clear(&error);
    weft_status status = weft_document_parse(&document, text, strlen(text), "model", &error);
    fuzz_check_refusal(status, &error);
    if (status != WEFT_OK) return false;
    status = weft_plan_model_read(&document, out, &error);
    fuzz_check_refusal(status, &error);
    weft_document_fini(&document);
    return status == WEFT_OK;
}

static bool read_cluster(const char *text, weft_arena *arena, weft_plan_cluster *out)
{
    weft_document document;
    weft_error error;
    weft_error_clear(&error);
    weft_status status = weft_document_parse(&document, text, strlen(text), "cluster", &error);
    fuzz_check_refusal(status, &error);
    if (status != WEFT_OK) return false;
    status = weft_plan_cluster_read(&document, arena, out, &error);
    fuzz_check_refusal(status, &error);
    weft_document_fini(&document);
    return status == WEFT_OK;
}

static void ask(const weft_plan_model *model, const weft_plan_cluster *cluster)
{
    int64_t gpus = (int64_t)cluster->nodes * cluster->gpus_per_node;
    weft_plan_question question = {
        .model = model, .cluster = cluster, .gpus = gpus < 64 ? gpus : 64, .batch = 48, .top = 4};
    weft_plan_screened screened;
    weft_error error;
    weft_error_clear(&error);
    weft_status status = weft_plan_screen(&question, NULL, &screened, &error);
    fuzz_check_refusal(status, &error);
    if (status != WEFT_OK) return;
    for (size_t i = 0; i < screened.best_count; i++) {
        const weft_plan_candidate *best = &screened.best[i];
        fuzz_check(isfinite(best->step) && best->step > 0, "a step takes no time, or for ever");
        fuzz_check(best->memory <= cluster->gpu.memory, "what is proposed does not fit");
    }
    if (screened.best_count == 0 && model->layers <= 64)
        fuzz_check(weft_plan_refuse(&question, &screened, &error) == WEFT_INVALID, "a refusal is none");
    weft_plan_screened_fini(&screened);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz_source from = {bytes, size};
    char *first = fuzz_string(&from), *second = fuzz_string(&from);
    weft_plan_model model;
    weft_plan_cluster cluster;
    weft_arena arena;
    weft_arena_init(&arena);
    bool has_model = read_model(first, &model), has_cluster = read_cluster(second, &arena, &cluster);
    if (has_model && has_cluster) ask(&model, &cluster);
    weft_arena_fini(&arena);
    free(first);
    free(second);
    return 0;
}
