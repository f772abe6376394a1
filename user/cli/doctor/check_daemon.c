/* SPDX-License-Identifier: GPL-2.0 */
/* The daemon, if one runs: does it serve, and with everything it needs. */
#include <string.h>

#include "doctor.h"

static const char *member(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "";
}

static void check_relays(struct doctor *doctor)
{
	const json_t *relays = json_object_get(doctor->status, "relays");
	const json_t *relay;
	size_t i, serving = 0;

	json_array_foreach(relays, i, relay) {
		const char *state = member(relay, "state");
		int pid = (int)json_integer_value(json_object_get(relay, "pid"));

		serving += strcmp(state, "serving") == 0;
		if (!strcmp(state, "hung"))
			report_finding(doctor, SEVERITY_PROBLEM, "relay-hung",
				       json_sprintf("relay %zu (pid %d) gives no sign of life", i,
						    pid),
				       json_string("its share of new connections is forwarded, "
						   "its flows stand still"),
				       NULL,
				       json_sprintf("if it was stopped, kill -CONT %d lets it go "
						    "on; kill -KILL %d resets its flows and "
						    "starts it again",
						    pid, pid));
	}
	if (serving)
		report_good(doctor, "relays");
	else
		report_finding(doctor, SEVERITY_PROBLEM, "no-relay", json_string("no relay serves"),
			       json_string("new connections are forwarded, none is taken"), NULL,
			       json_string("see the daemon's log for why relays do not start"));
}

static void check_attached(struct doctor *doctor)
{
	const json_t *interfaces = json_object_get(doctor->status, "interfaces");
	const json_t *interface;
	size_t i;

	json_array_foreach(interfaces, i, interface) {
		const char *dev = member(interface, "dev");

		if (!strcmp(member(interface, "attach"), "gone"))
			report_finding(doctor, SEVERITY_PROBLEM, "interface-gone",
				       json_sprintf("%s was removed, and the program with it", dev),
				       json_string("connections of its clients are not taken"),
				       json_sprintf("sluice --run-dir %s reload",
						    doctor->cli->run_dir),
				       json_sprintf("once %s is there again:", dev));
	}
}

void check_daemon(struct doctor *doctor)
{
	const char *version = member(doctor->status, "version");

	if (!doctor->status) {
		if (doctor->lock >= 0)
			report_finding(doctor, SEVERITY_NOTE, "not-running",
				       json_string("no sluiced runs in this network namespace"),
				       NULL, NULL, NULL);
		else
			report_finding(doctor, SEVERITY_WARNING, "unreachable",
				       json_sprintf("a sluiced runs here, but not with %s",
						    doctor->cli->run_dir),
				       json_string("its state cannot be looked at"), NULL,
				       json_string("give its --run-dir"));
		return;
	}
	report_good(doctor, "running");
	if (strcmp(version, SLUICE_VERSION))
		report_finding(doctor, SEVERITY_WARNING, "version",
			       json_sprintf("sluiced is version %s, sluice %s", version,
					    SLUICE_VERSION),
			       json_string("they may misunderstand each other"), NULL,
			       json_string("restart sluiced"));
	if (!strcmp(member(doctor->status, "state"), "draining"))
		report_finding(doctor, SEVERITY_WARNING, "draining",
			       json_string("the gateway is draining"),
			       json_string("new connections are forwarded"),
			       json_sprintf("sluice --run-dir %s reload", doctor->cli->run_dir),
			       NULL);
	check_relays(doctor);
	check_attached(doctor);
}
