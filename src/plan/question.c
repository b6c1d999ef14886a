/* Whether a planning question makes sense: sizes, and decisions that go together. */
#include "plan/screen.h"

static weft_status check_sizes(const weft_plan_question *q, weft_error *error)
{
    if (q->gpus < 1 || q->gpus > (int64_t)1 << 24)
        FAIL(error, WEFT_INVALID, "gpus: %lld is not between 1 and %d", (long long)q->gpus, 1 << 24);
    if (q->batch < 1 || q->batch > (int64_t)1 << 30)
        FAIL(error, WEFT_INVALID, "batch: %lld is not between 1 and %d", (long long)q->batch, 1 << 30);
    return WEFT_OK;
}

static int64_t given(int32_t fixed)
{
    return fixed > 0 ? fixed : 1;
}

/* The nearest multiples of a number, at least once that. */
static weft_status check_batch(const weft_plan_question *q, weft_error *error)
{
    const weft_plan_fix *fix = &q->fix;
    int64_t sequences = given(fix->data) * given(fix->micro_batch), below = q->batch / sequences * sequences;
    if (q->batch % sequences == 0) return WEFT_OK;
    FAIL(error, WEFT_INVALID, "batch: %lld sequence%s no multiple of data x micro_batch, %lld; take %lld or %lld",
         (long long)q->batch, q->batch == 1 ? " is" : "s are", (long long)sequences,
         (long long)(below > 0 ? below : sequences), (long long)(below + (below > 0 ? 1 : 2) * sequences));
}

static weft_status check_sizes_of_fix(const weft_plan_question *q, weft_error *error)
{
    const weft_plan_fix *fix = &q->fix;
    const weft_plan_model *model = q->model;
    int64_t stages = given(fix->pipeline) * given(fix->loops), layers = model->layers, tensor = given(fix->tensor);
    if (stages > layers)
        FAIL(error, WEFT_INVALID, "fix: pipeline x loops are %lld stages, the model has %lld layer%s",
             (long long)stages, (long long)layers, weft_text_plural(layers));
    if (fix->pipeline == 1 && fix->loops > 1)
        FAIL(error, WEFT_INVALID, "fix: loops %d need a pipeline of 2 or more, not 1", fix->loops);
    if (fix->pipeline == 0 && layers % given(fix->loops) != 0)
        FAIL(error, WEFT_INVALID,
             "fix: loops: %d do not divide %lld layer%s; fix pipeline too for stages of unlike size", fix->loops,
             (long long)layers, weft_text_plural(layers));
    if (model->heads % tensor || model->kv_heads % tensor || model->ffn % tensor)
        FAIL(error, WEFT_INVALID, "fix: tensor: %lld does not divide %lld head%s, %lld kv_head%s and ffn %lld alike",
             (long long)tensor, (long long)model->heads, weft_text_plural(model->heads), (long long)model->kv_heads,
             weft_text_plural(model->kv_heads), (long long)model->ffn);
    if (model->sequence % given(fix->context))
        FAIL(error, WEFT_INVALID, "fix: context: %d does not divide a sequence of %lld", fix->context,
             (long long)model->sequence);
    double workers =
        (double)given(fix->data) * (double)tensor * (double)given(fix->pipeline) * (double)given(fix->context);
    if (workers > (double)q->gpus)
        FAIL(error, WEFT_INVALID, "fix: data x tensor x pipeline x context are %.0f workers, there %s %lld GPU%s",
             workers, q->gpus == 1 ? "is" : "are", (long long)q->gpus, weft_text_plural(q->gpus));
    return WEFT_OK;
}

/* Whether any of the schedules has so many stages a rank. */
static bool have_loops(uint32_t kinds, int32_t loops)
{
    for (int kind = 0; kind < WEFT_PLAN_KINDS; kind++)
        if (kinds & 1u << kind && weft_plan_kind_has_loops((weft_plan_kind)kind, loops)) return true;
    return false;
}

/* What is decided must be among what the software has. */
static weft_status check_software(const weft_plan_question *q, weft_error *error)
{
    const weft_plan_fix *fix = &q->fix;
    const weft_plan_software *software = &q->cluster->software;
    uint32_t kinds = software->kinds, one = 1u << WEFT_PLAN_NONE, hybrid = 1u << WEFT_PLAN_HYBRID;
    const struct {
        const char *key;
        bool lacks;
    } rows[] = {{"schedule", fix->kinds && !(fix->kinds & kinds)},
                {"pipeline", fix->pipeline > 1 && kinds == one},
                {"loops", fix->loops > 0 && !have_loops(kinds, fix->loops)},
                {"rounds", fix->rounds > 1 && !(kinds & hybrid)},
                {"shard", fix->shards && !(fix->shards & software->shards)},
                {"recompute", fix->recomputes && !(fix->recomputes & software->recomputes)},
                {"sequence_parallel", fix->sequence_parallel > 0 && !software->sequence_parallel},
                {"context", fix->context > 1 && !software->context}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].lacks)
            FAIL(error, WEFT_INVALID, "fix: %s: software %s cannot do that", rows[i].key, software->name);
    return WEFT_OK;
}

static weft_status check_together(const weft_plan_question *q, weft_error *error)
{
    const weft_plan_fix *fix = &q->fix;
    uint32_t one = 1u << WEFT_PLAN_NONE, hybrid = 1u << WEFT_PLAN_HYBRID;
    if (fix->pipeline > 1 && fix->kinds == one)
        FAIL(error, WEFT_INVALID, "fix: schedule none has one stage, pipeline is %d", fix->pipeline);
    if (fix->pipeline == 1 && fix->kinds && !(fix->kinds & one))
        FAIL(error, WEFT_INVALID, "fix: a pipeline of 1 has no schedule but none");
    if (fix->kinds && fix->loops > 0 && !have_loops(fix->kinds, fix->loops))
        FAIL(error, WEFT_INVALID, "fix: loops: no schedule that is fixed has %d stage%s a rank", fix->loops,
             weft_text_plural(fix->loops));
    if (fix->rounds > 1 && fix->kinds && !(fix->kinds & hybrid))
        FAIL(error, WEFT_INVALID, "fix: rounds: only schedule hybrid has them");
    if (fix->data == 1 && fix->shards && !(fix->shards & 1u << WEFT_SHARD_NONE))
        FAIL(error, WEFT_INVALID, "fix: with data 1 there is nobody to shard with");
    if (fix->tensor == 1 && fix->sequence_parallel > 0)
        FAIL(error, WEFT_INVALID, "fix: sequence_parallel needs tensor 2 or more, not 1");
    return WEFT_OK;
}

weft_status weft_plan_question_check(const weft_plan_question *question, weft_error *error)
{
    TRY(check_sizes(question, error));
    TRY(check_batch(question, error));
    TRY(check_sizes_of_fix(question, error));
    TRY(check_software(question, error));
    return check_together(question, error);
}
