// SPDX-License-Identifier: GPL-2.0
/* See log_libbpf.h. */
#include "log_libbpf.h"

#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

static int print(enum libbpf_print_level level, const char *format, va_list arguments)
{
	char line[512];

	/* libbpf reports expected failures (probing, a busy hook) as warnings; what
	 * matters comes to us as an error code and gets our own words. */
	if (level == LIBBPF_DEBUG || !log_enabled(LOG_LEVEL_DEBUG))
		return 0;
	vsnprintf(line, sizeof(line), format, arguments);
	line[strcspn(line, "\n")] = '\0';
	log_debug("%s", line);
	return 0;
}

void log_libbpf(void)
{
	libbpf_set_print(print);
}
