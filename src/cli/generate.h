/* Prints generated text as it comes; shared by generate and the sample at the end of train. Threads: main's. */
#ifndef WEFT_CLI_GENERATE_H
#define WEFT_CLI_GENERATE_H

#include "train/train.h"

/* Prints the prompt, then the tokens. device: a kind, or NULL for the run's own. options->token and context are set
 * here. */
weft_status weft_cli_generate(const char *checkpoint, const char *device, weft_sample_options options,
                              weft_error *error) WEFT_CHECKED;

#endif
