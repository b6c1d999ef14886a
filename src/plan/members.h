/*
 * Keys of a map in a file and the members of a struct that they set, as tables.
 *
 * Internal to plan/.  Threads: any.
 */
#ifndef WEFT_PLAN_MEMBERS_H
#define WEFT_PLAN_MEMBERS_H

#include "config/document.h"

typedef enum weft_plan_member_kind {
    WEFT_PLAN_WHOLE32,
    WEFT_PLAN_WHOLE64,
    WEFT_PLAN_REAL,
    WEFT_PLAN_TRUTH
} weft_plan_member_kind;

typedef struct weft_plan_member {
    const char *key; /* NULL ends a table */
    weft_plan_member_kind kind;
    size_t offset;
    double scale; /* of the key's unit in that of the member; 0 in some tables: read elsewhere */
} weft_plan_member;

/* NULL: there is none. */
const weft_plan_member *weft_plan_member_find(const weft_plan_member *rows, const char *key);

/* WEFT_INVALID at the node for another kind of value, or one out of range. */
weft_status weft_plan_member_set(const weft_document *document, const weft_node *node, const weft_plan_member *row,
                                 void *target, weft_error *error) WEFT_CHECKED;

/* WEFT_INVALID at the node: its key is in no row; tells the nearest. */
weft_status weft_plan_member_unknown(const weft_document *document, const weft_node *node, const weft_plan_member *rows,
                                     weft_error *error);

/* The name in the file, or that of the file without folders. */
void weft_plan_title(const weft_document *document, const weft_node *name, size_t room, char *out);

#endif
