/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The status page for people (user/metrics/page): made one file by the Makefile
 * and a part of the program.
 */
#ifndef SLUICE_STATUS_PAGE_H
#define SLUICE_STATUS_PAGE_H

#include <stddef.h>

struct status_page {
	const char *html;
	size_t size;
	char policy[512]; /* Content-Security-Policy: this style and this script, no other */
};

/* 0 or a negative errno. */
int status_page_init(struct status_page *page);

#endif
