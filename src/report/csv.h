/* What the writer and the reader of timelines as CSV share. Internal to this layer.  Threads: any. */
#ifndef WEFT_REPORT_CSV_H
#define WEFT_REPORT_CSV_H

#include "report/report.h"

extern const char weft_report_csv_header[]; /* the first line */
extern const char weft_report_csv_step[];   /* the cells before the times of a whole step */

/* The cells before an action's times: "0,send_f 1,SEND_F,0,3,". */
void weft_report_add_cells(const weft_lane *lane, weft_action action, weft_text *out);

#endif
