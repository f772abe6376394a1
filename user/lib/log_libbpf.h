/* SPDX-License-Identifier: GPL-2.0 */
/* libbpf's messages in our log. */
#ifndef SLUICE_LOG_LIBBPF_H
#define SLUICE_LOG_LIBBPF_H

/* From now on libbpf's messages are logged as LOG_LEVEL_DEBUG, and its own
 * debugging is not. */
void log_libbpf(void);

#endif
