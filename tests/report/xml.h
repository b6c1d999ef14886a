/* What a text that was written is looked through for. */
#ifndef WEFT_TESTS_REPORT_XML_H
#define WEFT_TESTS_REPORT_XML_H

int count_of(const char *text, const char *word);

/* Fails the test unless it is XML whose tags are nested and whose attributes have quoted values. */
void check_well_formed(const char *text);

#endif
