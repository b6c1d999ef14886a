#include "data/tokenize.h"

#include "base/file.h"
#include "base/hands.h"
#include "data/pack.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum {
    BATCH_BYTES = 1 << 20,
    SAFE_BYTES = 64 << 20, /* of text between two places from which can be gone on */
    SMALL_IDS = 65500,     /* Megatron takes uint16 for a vocabulary below it (optimal_dtype) */
    MOST_THREADS = 1024,
    PATH = 4096,
};

typedef enum { EMPTY, READ, TAKEN, ENCODED } job_state;

/* A batch on its way from the reader to an encoder to the writer. */
typedef struct {
    weft_passage_batch batch;
    weft_coded coded;
    weft_passages_place place; /* behind it */
    uint64_t begun;            /* documents before it */
    job_state state;
    weft_status status;
    weft_error error;
} job;

typedef struct {
    const weft_tokenize_options *options;
    weft_passages *pieces;
    weft_megatron_writer *writer;
    weft_pack *pack;
    weft_tokenize_totals totals, safe; /* safe: where a stopped run goes on from */
    uint64_t fingerprint;
    uint64_t begun; /* documents that were read */
    uint64_t since; /* bytes of text since the last safe place */
    char progress[PATH], lock_path[PATH];
    int lock_file; /* held while it is there; -1: not held */

    job *jobs; /* (job_count) a ring: written, encoded and read in this order */
    size_t job_count;
    uint64_t reads, writes; /* batches */
    bool ended;             /* encoders are to go */
    pthread_mutex_t lock;   /* of the states of jobs, and ended */
    pthread_cond_t changed;
    pthread_t *threads; /* (started) */
    weft_passage_encoder **encoders;
    int started;
} course;

static job *take_job(course *self)
{
    for (uint64_t i = self->writes; i < self->reads; i++) {
        job *each = &self->jobs[i % self->job_count];
        if (each->state != READ) continue;
        each->state = TAKEN;
        return each;
    }
    return NULL;
}

typedef struct {
    course *self;
    weft_passage_encoder *encoder;
} encoding;

static void *encode_main(void *pointer)
{
    encoding it = *(encoding *)pointer;
    course *self = it.self;
    weft_free(pointer);
    pthread_mutex_lock(&self->lock);
    while (!self->ended) {
        job *mine = take_job(self);
        if (!mine) {
            pthread_cond_wait(&self->changed, &self->lock);
            continue;
        }
        pthread_mutex_unlock(&self->lock);
        mine->status = weft_passage_encoder_run(it.encoder, &mine->batch, mine->begun, &mine->coded, &mine->error);
        pthread_mutex_lock(&self->lock);
        mine->state = ENCODED;
        pthread_cond_broadcast(&self->changed);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

static weft_status start_thread(course *self, weft_error *error)
{
    encoding *it = NULL;
    TRY(weft_passage_encoder_create(&self->options->encode, &self->encoders[self->started], error));
    TRY(weft_allocate(1, sizeof *it, &it, error));
    *it = (encoding){self, self->encoders[self->started]};
    int reason = weft_thread_start(&self->threads[self->started], encode_main, it);
    if (reason == 0) {
        self->started++;
        return WEFT_OK;
    }
    weft_free(it);
    FAIL(error, WEFT_FAILED, "cannot start a thread: %s", strerror(reason));
}

static weft_status start_threads(course *self, weft_error *error)
{
    int threads = self->options->threads;
    if (threads < 1 || threads > MOST_THREADS)
        FAIL(error, WEFT_INVALID, "threads: 1 to %d, not %d", MOST_THREADS, threads);
    self->job_count = (size_t)threads + 2;
    TRY(weft_allocate(self->job_count, sizeof *self->jobs, &self->jobs, error));
    TRY(weft_allocate((size_t)threads, sizeof *self->threads, &self->threads, error));
    TRY(weft_allocate((size_t)threads, sizeof *self->encoders, &self->encoders, error));
    for (int i = 0; i < threads; i++) TRY(start_thread(self, error));
    return WEFT_OK;
}

static void end_threads(course *self)
{
    pthread_mutex_lock(&self->lock);
    self->ended = true;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
    for (int i = 0; i < self->started; i++) pthread_join(self->threads[i], NULL);
    for (int i = 0; self->encoders && i < self->options->threads; i++) weft_passage_encoder_destroy(self->encoders[i]);
    for (size_t i = 0; i < self->job_count && self->jobs; i++) {
        weft_passage_batch_fini(&self->jobs[i].batch);
        weft_coded_fini(&self->jobs[i].coded);
    }
    weft_free(self->jobs);
    weft_free(self->threads);
    weft_free(self->encoders);
}

/* The next batch of the inputs goes to whoever encodes it; *out_end: there is none. */
static weft_status read_job(course *self, bool *out_end, weft_error *error)
{
    job *next = &self->jobs[self->reads % self->job_count];
    TRY(weft_passages_next(self->pieces, BATCH_BYTES, &next->batch, error));
    *out_end = next->batch.count == 0;
    if (*out_end) return WEFT_OK;
    next->place = weft_passages_tell(self->pieces);
    next->begun = self->begun;
    for (size_t i = 0; i < next->batch.count; i++) self->begun += next->batch.pieces[i].begins;
    pthread_mutex_lock(&self->lock);
    next->state = READ;
    self->reads++;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
    return WEFT_OK;
}

static weft_status write_piece(course *self, const job *done, size_t index, weft_error *error)
{
    const weft_coded *coded = &done->coded;
    size_t from = index > 0 ? coded->past[index - 1] : 0, count = coded->past[index] - from;
    const int32_t *ids = coded->tokens.ids + from;
    const bool *learnt = self->options->encode.chat ? coded->learnt + from : NULL;
    self->totals.documents += done->batch.pieces[index].ends;
    if (self->pack) return weft_pack_add(self->pack, ids, learnt, count, error);
    TRY(weft_megatron_writer_add(self->writer, ids, learnt, count, error));
    return done->batch.pieces[index].ends ? weft_megatron_writer_end(self->writer, error) : WEFT_OK;
}

/* All that was written is on disk, and so is where to go on. Open blocks are filled up and written for it: packed,
 * these places must depend on the text alone, not on when a run was stopped. */
static weft_status make_safe(course *self, const job *last, weft_error *error)
{
    weft_megatron_state state;
    char text[512];
    if (self->pack) TRY(weft_pack_flush(self->pack, error));
    TRY(weft_megatron_writer_sync(self->writer, &state, error));
    uint64_t begun = last->begun;
    for (size_t i = 0; i < last->batch.count; i++) begun += last->batch.pieces[i].begins;
    int length =
        snprintf(text, sizeof text,
                 "weft tokenize 1 %016" PRIx64 "\n%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n%" PRIu64
                 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                 self->fingerprint, last->place.input, last->place.offset, last->place.line, begun,
                 self->totals.documents, state.tokens, state.sequences, state.documents, state.open_tokens, state.bits);
    TRY(weft_file_write(self->progress, text, (size_t)length, error));
    self->since = 0;
    self->safe = self->totals;
    return WEFT_OK;
}

static job *wait_for_job(course *self)
{
    job *next = &self->jobs[self->writes % self->job_count];
    pthread_mutex_lock(&self->lock);
    while (next->state != ENCODED) pthread_cond_wait(&self->changed, &self->lock);
    pthread_mutex_unlock(&self->lock);
    return next;
}

static weft_status write_job(course *self, bool last, weft_error *error)
{
    job *done = wait_for_job(self);
    if (done->status != WEFT_OK) {
        *error = done->error;
        return done->status;
    }
    for (size_t i = 0; i < done->batch.count; i++) TRY(write_piece(self, done, i, error));
    self->totals.text += done->batch.text.length;
    self->totals.tokens += done->coded.tokens.count;
    self->totals.consumed = weft_passages_consumed(self->pieces);
    self->since += done->batch.text.length;
    /* Packed blocks are closed there, so where it is must not depend on when somebody stopped the run. */
    if (self->since >= SAFE_BYTES || (last && !self->pack)) TRY(make_safe(self, done, error));
    pthread_mutex_lock(&self->lock);
    done->state = EMPTY;
    self->writes++;
    pthread_mutex_unlock(&self->lock);
    if (self->options->tell) self->options->tell(self->options->context, &self->totals);
    return WEFT_OK;
}

static void tell_left_out(course *self)
{
    weft_passages_left left = weft_passages_left_out(self->pieces);
    self->totals.left_out = left.files;
    self->totals.left_what = left.what;
    if (left.files == 0) return;
    snprintf(self->totals.left_example, sizeof self->totals.left_example, "%s", left.example);
    if (self->options->tell) self->options->tell(self->options->context, &self->totals);
}

static bool is_stopped(const course *self)
{
    return self->options->stop && self->options->stop(self->options->context);
}

/* Reads ahead as far as there is room, then writes the oldest batch. */
static weft_status move_all(course *self, weft_error *error)
{
    bool end = false;
    while (!end || self->writes < self->reads) {
        while (!end && self->reads - self->writes < self->job_count) {
            weft_status status = is_stopped(self) ? WEFT_STOPPED : read_job(self, &end, error);
            if (status == WEFT_STOPPED)
                end = self->totals.stopped = true;
            else
                TRY(status);
        }
        bool last = self->totals.stopped && self->writes + 1 == self->reads;
        if (self->writes < self->reads) TRY(write_job(self, last, error));
    }
    return WEFT_OK;
}

/* Of all that the bytes depend on. */
static uint64_t fingerprint(const weft_tokenize_options *options, const weft_passages *pieces)
{
    const weft_encode_options *encode = &options->encode;
    char text[512];
    int length = snprintf(text, sizeof text, "%d %d %d %d %d %" PRId64 " %.17g %.17g %d %d %d %" PRIu64,
                          (int)options->pieces.format, encode->chat != NULL, encode->special, encode->begin,
                          encode->end_of_text, options->pack, encode->fill.rate, encode->fill.suffix_first,
                          encode->fill.prefix, encode->fill.middle, encode->fill.suffix, encode->fill.seed);
    uint64_t hash = XXH3_64bits_withSeed(text, (size_t)length, weft_passages_fingerprint(pieces));
    hash = XXH3_64bits_withSeed(encode->field, strlen(encode->field), hash);
    const char *chat = encode->chat ? weft_chat_template_name(encode->chat) : "";
    return XXH3_64bits_withSeed(chat, strlen(chat), hash ^ weft_tokenizer_fingerprint(encode->tokenizer));
}

/* Where an earlier run was safe. *out_found: there is such a place. */
static weft_status read_progress(course *self, weft_megatron_state *state, weft_passages_place *place, bool *out_found,
                                 weft_error *error)
{
    weft_text text;
    uint64_t known = 0;
    *out_found = false;
    if (self->options->anew) unlink(self->progress); /* what lies aside is overwritten */
    if (!weft_path_exists(self->progress)) return WEFT_OK;
    weft_text_init(&text);
    weft_status status = weft_file_read(self->progress, &text, error);
    int read = sscanf(weft_text_get(&text),
                      "weft tokenize 1 %" SCNx64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                      " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
                      &known, &place->input, &place->offset, &place->line, &self->begun, &self->totals.resumed,
                      &state->tokens, &state->sequences, &state->documents, &state->open_tokens, &state->bits);
    weft_text_fini(&text);
    TRY(status);
    if (read != 11)
        FAIL(error, WEFT_INVALID, "%s: does not say where an earlier run has come to: say --anew", self->progress);
    if (known != self->fingerprint)
        FAIL(
            error, WEFT_INVALID,
            "%s: an earlier run with other inputs or options was ended in the middle: go on as it began, or say --anew",
            self->progress);
    *out_found = true;
    return WEFT_OK;
}

/* PREFIX.bin and so on must not be there, or be what may be replaced. */
static weft_status check_output(const course *self, const char *ending, weft_error *error)
{
    char path[PATH + 16];
    const char *prefix = self->options->prefix;
    size_t length = strlen(prefix), tail = strlen(ending);
    if (length >= tail && strcmp(prefix + length - tail, ending) == 0)
        FAIL(error, WEFT_INVALID, "%s: is to be a prefix, without %s", prefix, ending);
    snprintf(path, sizeof path, "%s%s", prefix, ending);
    if (weft_path_is_folder(path)) FAIL(error, WEFT_INVALID, "%s: is a folder: name another prefix", path);
    /* A run that was ended while its files got their names, the index last, may go on. */
    bool own = strcmp(ending, ".idx") != 0 && weft_path_exists(self->progress);
    if (!self->options->anew && !own && weft_path_exists(path))
        FAIL(error, WEFT_INVALID, "%s: is there already: name another prefix, or say --anew", path);
    return WEFT_OK;
}

static weft_status check_prefix(course *self, weft_error *error)
{
    static const char *const endings[] = {".idx", ".bin", ".mask"};
    const char *prefix = self->options->prefix;
    size_t length = strlen(prefix);
    if (snprintf(self->lock_path, sizeof self->lock_path, "%s.lock.part", prefix) >= (int)sizeof self->lock_path ||
        snprintf(self->progress, sizeof self->progress, "%s.progress", prefix) >= (int)sizeof self->progress)
        FAIL(error, WEFT_INVALID, "%s: the name is too long", prefix);
    if (length == 0 || prefix[length - 1] == '/')
        FAIL(error, WEFT_INVALID, "'%s': is no prefix of names of files", prefix);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) TRY(check_output(self, endings[i], error));
    return WEFT_OK;
}

/* Two runs would write into each other's files. Who has removed the file, whose lock was waited for, was just done. */
static weft_status take_lock(course *self, weft_error *error)
{
    struct stat info;
    int file = -1;
    TRY(weft_file_append(self->lock_path, &file, error));
    bool held = flock(file, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK; /* or there are no locks */
    if (held && fstat(file, &info) == 0 && info.st_nlink > 0) {
        self->lock_file = file;
        return WEFT_OK;
    }
    close(file);
    FAIL(error, WEFT_INVALID, "%s: another run is writing it: name another prefix, or wait", self->options->prefix);
}

static void release_lock(course *self)
{
    if (self->lock_file < 0) return;
    unlink(self->lock_path);
    close(self->lock_file);
}

static weft_status open_inputs(course *self, weft_error *error)
{
    static const char *const endings[] = {".bin", ".idx", ".mask", ".progress"};
    enum { OWN = sizeof endings / sizeof *endings };
    char names[OWN][PATH + 16];
    const char **own = NULL;
    weft_passages_options options = self->options->pieces;
    TRY(weft_allocate(OWN + options.own_count, sizeof *own, &own, error));
    for (int i = 0; i < OWN; i++) {
        snprintf(names[i], sizeof names[i], "%s%s", self->options->prefix, endings[i]);
        own[i] = names[i];
    }
    for (size_t i = 0; i < options.own_count; i++) own[OWN + i] = options.own[i];
    options.own = own;
    options.own_count += OWN;
    options.patience = (weft_inflate_patience){self->options->stop, self->options->context};
    weft_status status = weft_passages_create(&options, &self->pieces, error);
    weft_free(own);
    TRY(status);
    self->fingerprint = fingerprint(self->options, self->pieces);
    self->totals.size = weft_passages_size(self->pieces);
    return WEFT_OK;
}

static weft_status open_writer(course *self, weft_error *error)
{
    const weft_encode_options *encode = &self->options->encode;
    weft_megatron_state state = {0};
    weft_passages_place place = {0};
    bool found = false, small = weft_tokenizer_vocabulary(encode->tokenizer) < SMALL_IDS;
    TRY(read_progress(self, &state, &place, &found, error));
    weft_megatron_writer_options options = {.prefix = self->options->prefix,
                                            .numbers = small ? WEFT_NUMBER_UINT16 : WEFT_NUMBER_INT32,
                                            .masked = encode->chat || self->options->pack > 0,
                                            .state = found ? &state : NULL};
    self->totals.numbers = small ? "uint16" : "int32";
    self->totals.documents = self->totals.resumed;
    self->totals.tokens = state.tokens;
    self->safe = self->totals;
    if (!found) unlink(self->progress); /* it says nothing of the files that are begun now */
    TRY(weft_megatron_writer_create(&options, &self->writer, error));
    if (found) TRY(weft_passages_seek(self->pieces, place, error));
    if (self->options->pack == 0) return WEFT_OK;
    int32_t filler = encode->end_of_text >= 0 ? encode->end_of_text : 0;
    return weft_pack_create(self->writer, self->options->pack, filler, &self->pack, error);
}

static weft_status nothing_to_write(const course *self, weft_error *error)
{
    const weft_tokenize_totals *totals = &self->totals;
    if (totals->left_out == 0) FAIL(error, WEFT_INVALID, "the inputs hold no text: there is nothing to write");
    FAIL(error, WEFT_INVALID, "the inputs hold no text: %s is %s", totals->left_example, totals->left_what);
}

static weft_status run(course *self, weft_error *error)
{
    TRY(check_prefix(self, error));
    TRY(take_lock(self, error));
    TRY(open_inputs(self, error));
    TRY(open_writer(self, error));
    TRY(start_threads(self, error));
    TRY(move_all(self, error));
    bool stopped = self->totals.stopped;
    if (stopped) self->totals = self->safe;
    self->totals.stopped = stopped;
    tell_left_out(self);
    if (stopped) return WEFT_OK;
    if (self->totals.tokens == 0) return nothing_to_write(self, error);
    if (self->pack) TRY(weft_pack_flush(self->pack, error));
    TRY(weft_megatron_writer_finish(self->writer, error));
    unlink(self->progress);
    return WEFT_OK;
}

/* What lies aside is of use only behind a safe place. */
static void leave_aside(const course *self)
{
    static const char *const endings[] = {".bin.part", ".idx.part", ".mask.part", ".lengths.part"};
    char path[PATH + 32];
    if (!self->writer || weft_path_exists(self->progress)) return;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        snprintf(path, sizeof path, "%s%s", self->options->prefix, endings[i]);
        unlink(path);
    }
}

weft_status weft_tokenize(const weft_tokenize_options *options, weft_tokenize_totals *out, weft_error *error)
{
    course self = {.options = options, .lock_file = -1};
    pthread_mutex_init(&self.lock, NULL);
    pthread_cond_init(&self.changed, NULL);
    weft_status status = run(&self, error);
    if (status != WEFT_OK || self.totals.stopped) leave_aside(&self);
    end_threads(&self);
    release_lock(&self);
    if (self.pack) {
        self.totals.filled = weft_pack_filled(self.pack);
        self.totals.cut = weft_pack_cut(self.pack);
    }
    weft_pack_destroy(self.pack);
    weft_megatron_writer_destroy(self.writer);
    weft_passages_destroy(self.pieces);
    pthread_cond_destroy(&self.changed);
    pthread_mutex_destroy(&self.lock);
    *out = self.totals;
    return status;
}
