/*
 * How fast plans are found.
 *
 *     bench_screen
 *
 * Millions of layouts a second that the screen names and prices on one core, as GPUs, batch and layers grow, then a
 * whole plan with replays on all cores. Beside it what a published tool states for itself: Calculon screens 196
 * configurations a second on one core (Isaev et al., SC 2023).
 */
#include "base/clock.h"
#include "base/hands.h"
#include "plan/answer.h"

#include <stdio.h>

static const double calculon = 196; /* a second, published */

typedef struct subject {
    int32_t layers;
    int64_t gpus, batch;
} subject;

static weft_status describe(const subject *what, weft_plan_model *model, weft_plan_cluster *cluster,
                            weft_plan_question *out, weft_error *error)
{
    *model = (weft_plan_model){
        .layers = what->layers, .hidden = 8192, .heads = 64, .vocabulary = 30592, .sequence = 1024, .tied = true};
    TRY(weft_plan_model_complete(model, error));
    weft_plan_cluster_init(cluster, weft_plan_gpu_find("A100-SXM-80GB"), weft_plan_software_find("weft"));
    *out =
        (weft_plan_question){.model = model, .cluster = cluster, .gpus = what->gpus, .batch = what->batch, .top = 200};
    return WEFT_OK;
}

static weft_status screen(const subject *what, weft_error *error)
{
    weft_plan_model model;
    weft_plan_cluster cluster;
    weft_plan_question question;
    weft_plan_screened found = {0};
    double best = 1e9;
    TRY(describe(what, &model, &cluster, &question, error));
    for (int i = 0; i < 5; i++) {
        weft_plan_screened_fini(&found);
        double begin = weft_clock_seconds();
        TRY(weft_plan_screen(&question, NULL, &found, error));
        double seconds = weft_clock_seconds() - begin;
        if (seconds < best) best = seconds;
    }
    double rate = (double)found.enumerated / best;
    printf("%8lld  %8lld  %6d  %10llu  %10llu  %9.1f  %10.0f\n", (long long)what->gpus, (long long)what->batch,
           what->layers, (unsigned long long)found.enumerated, (unsigned long long)found.priced, rate / 1e6,
           rate / calculon);
    weft_plan_screened_fini(&found);
    return WEFT_OK;
}

static weft_status plan(weft_error *error)
{
    static const int64_t batches[] = {512, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384};
    weft_plan_how how = {.threads = weft_cores()};
    uint64_t looked = 0, replays = 0;
    double begin = weft_clock_seconds();
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        weft_plan_model model;
        weft_plan_cluster cluster;
        weft_plan_question question;
        weft_plan_answer answer;
        TRY(describe(&(subject){64, 4096, batches[i]}, &model, &cluster, &question, error));
        TRY(weft_plan_find(&question, &how, &answer, error));
        looked += answer.screened.enumerated;
        replays += answer.replays;
        weft_plan_answer_fini(&answer);
    }
    printf("\n4096 GPUs, ten batches: %llu layouts, %llu replayed by their programs, in %.1f s on %d cores\n",
           (unsigned long long)looked, (unsigned long long)replays, weft_clock_seconds() - begin, how.threads);
    return WEFT_OK;
}

static weft_status run(weft_error *error)
{
    static const subject subjects[] = {{64, 64, 1024},     {64, 512, 1024},   {64, 4096, 1024}, {64, 4096, 8192},
                                       {64, 65536, 65536}, {128, 4096, 1024}, {16, 4096, 1024}, {96, 4096, 1536}};
    printf("    GPUs     batch  layers       named      priced  million/s  x Calculon\n");
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) TRY(screen(&subjects[i], error));
    return plan(error);
}

int main(void)
{
    weft_error error;
    weft_error_clear(&error);
    if (run(&error) == WEFT_OK) return 0;
    fprintf(stderr, "bench_screen: %s\n", error.text);
    return 1;
}
