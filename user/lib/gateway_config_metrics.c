// SPDX-License-Identifier: GPL-2.0
/*
 * The section `metrics` of sluiced's configuration file, read as
 * user/lib/gateway_config.c reads the others.
 */
#include <confuse.h>

#include "address.h"
#include "gateway_config_parts.h"

static int on_listen(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	struct metrics_config *metrics = &config_loading->config->metrics;

	config_keep_value(value, result);
	config_loading->metrics.listen_line = section->line;
	if (endpoint_parse(value, metrics->address, &metrics->port) == 0)
		return 0;
	config_loading->metrics.is_wrong = true;
	config_error(config_loading->errors, section->line,
		     "%s is \"%.60s\", expected ADDRESS:PORT, such as \"127.0.0.1:7472\"",
		     option->name, value);
	return 0;
}

static int on_public(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	int is_public = cfg_parse_boolean(value);

	config_keep_value(value, result);
	config_loading->config->metrics.is_public = is_public == 1;
	if (is_public >= 0)
		return 0;
	config_loading->metrics.is_wrong = true;
	config_error(config_loading->errors, section->line,
		     "%s is \"%.60s\", expected true or false", option->name, value);
	return 0;
}

void metrics_options_init(cfg_opt_t options[METRICS_OPTIONS])
{
	options[0] = (cfg_opt_t)CFG_STR_CB("listen", NULL, CFGF_NODEFAULT, on_listen);
	options[1] = (cfg_opt_t)CFG_STR_CB("public", NULL, CFGF_NODEFAULT, on_public);
	options[2] = (cfg_opt_t)CFG_END();
}

/* Who can reach the port can read whose connections go where: that has to be
 * said in so many words. */
static void exposure_check(const struct metrics_part *part)
{
	const struct metrics_config *metrics = &config_loading->config->metrics;
	char endpoint[ENDPOINT_TEXT_MAX];

	if (part->is_wrong || metrics->is_public || address_is_loopback(metrics->address))
		return;
	config_error(config_loading->errors, part->listen_line,
		     "listen is \"%s\", which others than this host can reach, expected a loopback "
		     "address, or public = true as well",
		     endpoint_format(metrics->address, metrics->port, endpoint));
}

int on_metrics_end(cfg_t *file, cfg_opt_t *option)
{
	const struct metrics_part *part = &config_loading->metrics;
	int line = config_text_section_line(&config_loading->text);

	(void)file;
	if (config_loading->metrics_line)
		config_error(config_loading->errors, line,
			     "metrics is already given at line %d, expected it once",
			     config_loading->metrics_line);
	else
		config_loading->metrics_line = line;
	if (part->listen_line == 0)
		config_error(config_loading->errors, line,
			     "metrics without listen, expected listen = \"ADDRESS:PORT\"");
	else
		exposure_check(part);
	config_loading->metrics = (struct metrics_part){ 0 };
	return cfg_opt_rmnsec(option, 0);
}
