/*
 * YAML as events, one at a time, each with its place: the one reader of YAML for all files.
 *
 * A value is what it is by the key alone: anchors, aliases, tags and zero bytes are refused, and so is a second
 * document. Messages begin with NAME:LINE:COLUMN.
 *
 * Owns: the parser and the event that is looked at.  Lifetime: init to fini; text and name are the caller's and stay.
 * Threads: one owner.
 */
#ifndef WEFT_CONFIG_EVENTS_H
#define WEFT_CONFIG_EVENTS_H

#include "base/text.h"

typedef enum weft_yaml_kind {
    WEFT_YAML_NOTHING, /* the text is empty */
    WEFT_YAML_SCALAR,
    WEFT_YAML_LIST,
    WEFT_YAML_LIST_END,
    WEFT_YAML_MAP,
    WEFT_YAML_MAP_END,
} weft_yaml_kind;

typedef struct weft_yaml {
    const char *name;
    /* The event that is looked at. */
    weft_yaml_kind kind;
    const char *value; /* of a scalar; borrowed until the next event */
    bool quoted;       /* a scalar that is not plain */
    size_t line, column;
    /* Private. */
    struct weft_yaml_parser *parser;
    const char *text;
    size_t length;
    weft_error *error; /* for all messages */
} weft_yaml;

/* Goes to the first event. fini is due also after an error. */
weft_status weft_yaml_init(weft_yaml *yaml, const char *text, size_t length, const char *name,
                           weft_error *error) WEFT_CHECKED;
void weft_yaml_fini(weft_yaml *yaml);

weft_status weft_yaml_next(weft_yaml *yaml) WEFT_CHECKED;
/* At the last event of the outermost value: nothing may follow. */
weft_status weft_yaml_end(weft_yaml *yaml) WEFT_CHECKED;

/* WEFT_INVALID at the event that is looked at. */
weft_status weft_yaml_refuse(const weft_yaml *yaml, const char *format, ...) WEFT_PRINTF(2, 3);

#endif
