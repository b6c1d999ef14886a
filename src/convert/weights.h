/*
 * The weights of a model that exists: of a folder of Hugging Face, a GGUF file, or of a checkpoint, be it a run's
 * latest. What a run may start from, and what is evaluated and generated from.
 *
 * A const table of kinds (weights.c) is all that is known of where they are: another kind of file is a row of it.
 *
 * Files are hostile input, see convert.h and checkpoint/. Read piece by piece; what was read leaves memory.
 * Owns: its folder or checkpoint, and its texts.  Lifetime: open to close.  Threads: one owner; many may read.
 */
#ifndef WEFT_CONVERT_WEIGHTS_H
#define WEFT_CONVERT_WEIGHTS_H

#include "config/config.h"
#include "model/model.h"

typedef struct weft_weights weft_weights;

/* Proves all but the values of a folder's weights, which are when they are read. context: the longest sequence, at most
 * the model's; 0: that; below 0: that too, and no weights are wanted: only their configuration is read. WEFT_INVALID
 * for what is no such thing, or not whole. */
weft_status weft_weights_open(const char *path, int64_t context, weft_weights **out, weft_error *error) WEFT_CHECKED;
void weft_weights_close(weft_weights *weights); /* accepts NULL */

const char *weft_weights_path(const weft_weights *weights); /* of a run: its checkpoint's */
int64_t weft_weights_step(const weft_weights *weights);     /* of the run that they come from; 0: they come from none */

/* The configuration that they were trained with, or of a folder the keys of its model alone; as YAML text, and read. */
const char *weft_weights_yaml(const weft_weights *weights);
const weft_config *weft_weights_config(const weft_weights *weights);
bool weft_weights_has_run(const weft_weights *weights); /* whether it says more than the model */

/* What data.tokenizer may be for this model: that of its run while it is there, else one kept beside it; NULL: none. */
const char *weft_weights_tokenizer(const weft_weights *weights);

/* The same where their own configuration does not say so: it is to be put in; else NULL. */
const char *weft_weights_other_tokenizer(const weft_weights *weights);

/* Copies a run or a block of an undivided parameter, given as that of a weft_checkpoint_piece is, to out, packed:
 * rows x columns. The parameter is of this model, be it with a smaller context. WEFT_INVALID as weft_folder_read. */
weft_status weft_weights_read(const weft_weights *weights, const weft_parameter *parameter, int64_t from, int64_t rows,
                              int64_t columns, float *out, weft_error *error) WEFT_CHECKED;

/* Copies what belongs to the model besides its weights (config.json, the tokenizer's files) to RUN/source, in place of
 * what an earlier start left there. */
weft_status weft_weights_keep(const weft_weights *weights, const char *run, weft_error *error) WEFT_CHECKED;

/* As weft_config_load, for what trains or is about to: run.start gives keys of the model and the tokenizer. Once the
 * run has a checkpoint, that does. */
weft_status weft_start_load(weft_config *config, const char *path, const char *const *overrides, int override_count,
                            weft_error *error) WEFT_CHECKED;

/* Whether a run of this configuration starts from run.start: it names something, and there is no checkpoint yet. */
bool weft_start_is_wanted(const weft_config *config);

#endif
