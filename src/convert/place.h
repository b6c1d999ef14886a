/*
 * Folders that are made whole or not at all, and files that are copied into them. Internal to convert/.
 *
 * Threads: one.
 */
#ifndef WEFT_CONVERT_PLACE_H
#define WEFT_CONVERT_PLACE_H

#include "base/text.h"

/* WEFT_INVALID unless nothing has this name, or an empty folder. */
weft_status weft_place_check(const char *path, weft_error *error) WEFT_CHECKED;

/* Whether a folder has a file of this name; a tokenizer's file. */
bool weft_place_holds(const char *folder, const char *name);
bool weft_place_has_tokenizer(const char *folder);

/* Copies the files that belong to a folder of Hugging Face, such as are there; to must exist. config: config.json too.
 */
weft_status weft_place_copy(const char *from, const char *to, bool config, weft_error *error) WEFT_CHECKED;

/* Appends RUN/source, where a checkpoint's run has one; else nothing. */
void weft_place_source(const char *checkpoint, weft_text *out);

/* Takes away what weft_place_copy makes, as far as it is there. */
weft_status weft_place_clear(const char *folder, weft_error *error) WEFT_CHECKED;

weft_status weft_place_write(const char *folder, const char *name, const weft_text *text,
                             weft_error *error) WEFT_CHECKED;

#endif
