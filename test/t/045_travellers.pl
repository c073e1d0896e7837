# Who travels, and where: strata.travellers() and pg_stat_activity.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('travellers', track_activity_query_size => 200);
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE TABLE t (a int);
CREATE ROLE clerk LOGIN;
GRANT USAGE ON SCHEMA strata TO clerk;
GRANT SET ON PARAMETER strata.travel_time TO clerk;
SQL
my $then = now_in($node);
my $lsn = $node->safe_psql('postgres', "SELECT strata.lsn_at('$then')");
$node->safe_psql('postgres', 'INSERT INTO t VALUES (1)');
my $list = 'SELECT pid, role, lsn, moment = strata.time_at(lsn), since BETWEEN pg_postmaster_start_time() AND now() FROM strata.travellers() ORDER BY 1';
is($node->safe_psql('postgres', $list), '', 'nobody travels');

my $one = traveller($node, $then);
my $pid = $one->query_safe('SELECT pg_backend_pid()');
my $role = $node->safe_psql('postgres', 'SELECT current_user');
is($node->safe_psql('postgres', $list), "$pid|$role|$lsn|t|t", 'a session in the past is listed');
is((try_sql($node, $list, user => 'clerk'))[0], "$pid|$role|$lsn|t|t", 'for every role');
is((try_sql($node, "SET strata.travel_time = '$then'; SELECT count(*), count(DISTINCT lsn) FROM strata.travellers();"))[0], '2|1',
	'in the past as well, with the caller itself');
$one->query_safe("SELECT count(*) FROM t");
is($node->safe_psql('postgres', "SELECT replace(query, E'\\n', '') FROM pg_stat_activity WHERE pid = $pid"), "/* at LSN $lsn */ SELECT count(*) FROM t;", 'pg_stat_activity shows where its query ran');
$one->query_safe("SELECT '" . ('x' x 1000) . "'");
is($node->safe_psql('postgres', "SELECT length(query), left(query, 13) FROM pg_stat_activity WHERE pid = $pid"), '199|/* at LSN 0/' . substr($lsn, 2, 1), 'a long query is cut');
my $since = $node->safe_psql('postgres', 'SELECT since FROM strata.travellers()');
$one->query_safe('RESET strata.travel_time');
$one->query_safe('SELECT 1');
is($node->safe_psql('postgres', $list), '', 'it has returned');
is($node->safe_psql('postgres', "SELECT replace(query, E'\\n', '') FROM pg_stat_activity WHERE pid = $pid"), 'SELECT 1;', 'and its queries are of the present');
$one->query_safe("SET strata.travel_time = '$then'");
is($node->safe_psql('postgres', "SELECT since > '$since' FROM strata.travellers()"), 't', 'since counts from the last switch');
$one->quit;
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid");
is($node->safe_psql('postgres', $list), '', 'a session that has ended is not listed');

# A role that was not there yet.
$node->safe_psql('postgres', 'CREATE ROLE recruit LOGIN; GRANT SET ON PARAMETER strata.travel_time TO recruit; GRANT SELECT ON t TO recruit');
for my $query ('SELECT * FROM t', 'SELECT rolname FROM pg_authid')
{
	like((try_sql($node, "SET strata.travel_time = '$then'; $query;", user => 'recruit'))[1],
		qr/42501: role "recruit" did not exist at the moment that the session travels to\nDETAIL: .*\nHINT: /, "the reason why it may not: $query");
}
like((try_sql($node, "SET strata.travel_time = '$then'; SELECT * FROM t;", user => 'clerk'))[1], qr/42501: permission denied for table t/, 'a role of then has its rights of then');

log_is_clean($node);
$node->stop;
done_testing();
