/* SPDX-License-Identifier: GPL-2.0 */
/* Handle and priority of the gateway's clsact filters, by which those of a run
 * that crashed are recognised: by the next run, and by `sluice doctor`. */
#ifndef SLUICE_TC_FILTER_H
#define SLUICE_TC_FILTER_H

#define FILTER_HANDLE 0x5137
#define FILTER_PRIORITY 0x5137

#endif
