#ifndef CARILLON_TEST_SUPPORT_JSON_ORACLE_H
#define CARILLON_TEST_SUPPORT_JSON_ORACLE_H

#include <stddef.h>

/*
 * Holds everything that the JSON codec says about a text against jansson and against the codec's own promises: whether
 * it is JSON at all, its kind and depth, its members and elements, its strings' content and length, and that rewriting
 * gives safe, equal and stable text. The text is copied to memory of exactly its length first, so that a sanitizer sees
 * a read past the end.
 *
 * Returns 1 for JSON, 0 for none, and -1 where something does not hold, with the reason and the text on standard
 * error. jansson's own limits (numbers beyond a double, NUL in names, 2048 levels) count as no opinion.
 */
int json_oracle_check(const void *text, size_t len);

#endif
