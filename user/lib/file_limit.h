/* SPDX-License-Identifier: GPL-2.0 */
/* How many descriptors a daemon may have. */
#ifndef SLUICE_FILE_LIMIT_H
#define SLUICE_FILE_LIMIT_H

/* Takes as many descriptors as this process may have: a flow is two, and what most
 * systems start with is 1024. */
void file_limit_raise(void);

#endif
