/* The held-out loss: between steps, or of a checkpoint by itself. */
#include "train/logits.h"
#include "train/loop.h"

#include <math.h>

/* Batches of one evaluation. */
static int64_t count_batches(const weft_loop *loop)
{
    int64_t sequences = weft_loop_batch_sequences(loop), most = loop->job->config->run.evaluate_batches;
    int64_t batches = (weft_data_blocks(loop->data, WEFT_DATA_HELD_OUT) + sequences - 1) / sequences;
    return most > 0 && most < batches ? most : batches;
}

bool weft_loop_evaluates(const weft_loop *loop, int64_t step)
{
    return step == loop->steps || weft_loop_is_due(loop->job->config->run.evaluate_every, step);
}

/* Adds the losses and targets of one batch, unless the evaluation is broken off. */
static weft_status run_batch(weft_loop *loop, int64_t batch, double *sum, weft_evaluation_record *record,
                             weft_error *error)
{
    weft_worker *worker = loop->worker;
    TRY(weft_loop_read(loop, WEFT_DATA_HELD_OUT, batch * weft_loop_batch_sequences(loop), worker->step, error));
    TRY(weft_loop_exchange(loop, 0, "beginning of a held-out batch", error));
    if (loop->stop || loop->troubled) return WEFT_OK;
    TRY(weft_worker_run(worker, true, error));
    weft_error found;
    weft_error_clear(&found);
    loop->diverged = weft_loop_check_held_out(loop, &found) != WEFT_OK;
    if (loop->diverged) weft_loop_meet(loop, &found);
    loop->troubled = loop->diverged; /* all ranks have the same losses */
    /* One after the other, whatever makes a batch: the same sum at any width. */
    for (int64_t m = 0; m < weft_loop_microbatches(loop); m++) *sum += weft_loop_losses(loop, m)[0];
    record->tokens += loop->targets;
    record->bytes += loop->bytes;
    return weft_logits_write(loop, batch * weft_loop_batch_sequences(loop), error);
}

weft_status weft_loop_evaluate(weft_loop *loop, int64_t step, weft_error *error)
{
    double sum = 0;
    int64_t batches = count_batches(loop);
    weft_evaluation_record record = {.step = step};
    loop->worker->step = step;
    for (int64_t i = 0; i < batches; i++) {
        TRY(run_batch(loop, i, &sum, &record, error));
        if (loop->stop || loop->troubled) return WEFT_OK;
    }
    if (record.tokens == 0) return WEFT_OK;
    record.loss = sum / (double)record.tokens;
    record.bits_per_byte = record.bytes > 0 ? record.loss / log(2) * ((double)record.tokens / (double)record.bytes) : 0;
    return weft_loop_tell_evaluation(loop, &record, error);
}

/* Sequences of held-out data that the evaluation goes over. */
static int64_t count_sequences(const weft_loop *loop)
{
    int64_t blocks = weft_data_blocks(loop->data, WEFT_DATA_HELD_OUT);
    int64_t most = count_batches(loop) * weft_loop_batch_sequences(loop);
    return blocks < most ? blocks : most;
}

static weft_status evaluate_alone(weft_loop *loop, weft_error *error)
{
    TRY(weft_logits_begin(loop, count_sequences(loop), error));
    TRY(weft_loop_evaluate(loop, loop->start, error));
    TRY(weft_logits_end(loop, error));
    TRY(weft_loop_exchange(loop, 0, "end of the evaluation", error));
    if (loop->troubled) return weft_loop_blame(loop, error);
    return loop->stop ? weft_fail(error, WEFT_STOPPED, "stopped before the end of the data") : WEFT_OK;
}

weft_status weft_loop_run_evaluation(weft_loop *loop, int32_t rank, weft_transport *transport, weft_error *error)
{
    loop->transport = transport;
    weft_arena_init(&loop->arena);
    weft_status status = weft_loop_prepare(loop, rank, error);
    if (status == WEFT_OK) status = evaluate_alone(loop, error);
    if (status != WEFT_OK && status != WEFT_STOPPED) loop->transport->operations->stop(loop->transport);
    return status;
}

weft_status weft_loop_lacks_evaluation(weft_loop *loop, bool *out, weft_error *error)
{
    const weft_observer *observer = &loop->options->observer;
    int64_t own = 0;
    *out = false;
    if (loop->start == 0 || !weft_loop_evaluates(loop, loop->start)) return WEFT_OK;
    if (loop->worker->number == 0 && observer->lacks_evaluation)
        own = observer->lacks_evaluation(observer->context, loop->start);
    TRY(weft_worker_gather(loop->worker, &own, sizeof own, loop->answers, "records of earlier evaluations", error));
    *out = loop->answers[0] != 0;
    return WEFT_OK;
}
