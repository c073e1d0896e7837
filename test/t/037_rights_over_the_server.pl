# What is the server's, which does not travel, needs the right then and now; what is in the cluster the right of then.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('server_rights', max_connections => 20);
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE m1 LOGIN;
CREATE ROLE m2 LOGIN;
CREATE ROLE m3 LOGIN;
CREATE ROLE watcher LOGIN;
CREATE ROLE warden LOGIN;
CREATE ROLE middle;
CREATE ROLE twice LOGIN;
CREATE ROLE chief SUPERUSER LOGIN;
CREATE ROLE gone SUPERUSER;
GRANT m1 TO m2, m3;
GRANT m1 TO middle;
GRANT middle TO twice;
GRANT pg_read_all_stats, pg_read_all_settings, pg_signal_backend, pg_checkpoint, pg_read_server_files TO watcher, warden;
GRANT pg_read_all_data TO watcher;
CREATE TABLE t (a int);
CREATE TABLE of_m1 (a int);
INSERT INTO of_m1 VALUES (1);
ALTER TABLE of_m1 OWNER TO m1;
CREATE VIEW by_gone AS SELECT count(*) FROM of_m1;
ALTER VIEW by_gone OWNER TO gone;
GRANT SELECT ON by_gone TO PUBLIC;
CREATE FUNCTION count_of_m1() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM of_m1';
ALTER FUNCTION count_of_m1 OWNER TO gone;
GRANT SET ON PARAMETER strata.travel_time TO m2, m3, watcher, warden, twice;
SQL
my $then = now_in($node);
$node->safe_psql('postgres', <<'SQL');
REVOKE m1 FROM m2;
GRANT m1 TO m3 WITH INHERIT FALSE;
REVOKE pg_read_all_stats, pg_read_all_settings, pg_signal_backend, pg_checkpoint, pg_read_server_files, pg_read_all_data FROM watcher;
DROP VIEW by_gone;
DROP FUNCTION count_of_m1;
DROP ROLE gone;
SQL

# A session of m1 whose query says something that not everybody may know.
my $secret = 'SELECT 4711';
my $session = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'm1' ]);
my $pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_safe($secret);
my $go = "SET strata.travel_time = '$then';";

sub as
{
	my ($user, $sql) = @_;
	my ($out, $error) = try_sql($node, $sql, user => $user);
	return $out . ($error =~ /ERROR/ ? $error : '');
}

my @shows = (
	[ 'pg_stat_activity', "SELECT query FROM pg_stat_activity WHERE pid = $pid" ],
	[ 'pg_stat_get_activity()', "SELECT query FROM pg_stat_get_activity($pid)" ],
	[ 'pg_stat_get_backend_activity()', "SELECT pg_stat_get_backend_activity(i) FROM pg_stat_get_backend_idset() i WHERE pg_stat_get_backend_pid(i) = $pid" ]);
for my $case (@shows)
{
	my ($what, $query) = @$case;
	unlike(as('m2', "$go $query"), qr/4711/, "a membership of then does not show another session's query: $what");
	unlike(as('m3', "$go $query"), qr/4711/, "nor one that is not inherited any more: $what");
	unlike(as('watcher', "$go $query"), qr/4711/, "nor does a predefined role of then: $what");
	like(as('twice', "$go $query"), qr/4711/, "a membership of both times shows it, through another role: $what");
	like(as('warden', "$go $query"), qr/4711/, "and a predefined role of both times: $what");
	like(as('chief', "$go $query"), qr/4711/, "and a superuser of both: $what");
}
is(as('m2', "$go SELECT count(*) FROM of_m1"), 1, 'a membership of then gives the rights to the data of then');
is(as('watcher', "$go SELECT count(*) FROM of_m1"), 1, 'and so does pg_read_all_data');
is(as('m2', "$go SELECT pg_has_role('m1', 'USAGE')"), 't', 'pg_has_role() answers for the moment');
is(as('twice', "$go SELECT * FROM by_gone; SELECT count_of_m1();"), "1\n1", 'a view and a function of a superuser who was dropped since show the data of then');

my $hidden = "SHOW data_directory; SELECT count(*) FROM pg_settings WHERE name = 'hba_file'; SELECT current_setting('config_file')";
unlike(as('watcher', "$go $hidden"), qr/^(\/|1$)/m, 'settings that only superusers see are not shown by a role of then');
like(as('warden', "$go $hidden"), qr/\/.*\n1\n\//, 'but by one of both times');
for my $case (
	[ "SELECT pg_cancel_backend($pid)", 'pg_cancel_backend()' ], [ "SELECT pg_terminate_backend($pid)", 'pg_terminate_backend()' ],
	[ 'CHECKPOINT', 'CHECKPOINT' ], [ "COPY t FROM '/dev/null'", 'COPY FROM a file' ], [ "SELECT pg_read_file('PG_VERSION')", 'pg_read_file()' ],
	[ 'SELECT * FROM pg_hba_file_rules', 'pg_hba_file_rules' ], [ 'SELECT * FROM pg_ls_logdir()', 'pg_ls_logdir()' ],
	[ 'SELECT * FROM pg_ls_waldir()', 'pg_ls_waldir()' ])
{
	my ($statement, $what) = @$case;
	like(as($_, "$go $statement"), qr/ERROR:  (42501|25006): /, "$what takes a superuser of both times ($_)") for 'watcher', 'warden';
}
is($session->query_safe('SELECT 1'), 1, 'the session that others tried to end is there');

# What is taken away while the session is in the past counts at once.
my $traveller = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'twice' ]);
$session->query_safe($secret);
$traveller->query_safe($go);
like($traveller->query_safe($shows[0][1]), qr/4711/, 'a traveller with the right sees the query');
$node->safe_psql('postgres', 'REVOKE middle FROM twice');
unlike($traveller->query_safe($shows[0][1]), qr/4711/, 'and does not after REVOKE in the present, where it stands');
$traveller->query_safe('BEGIN; SELECT 1');
$node->safe_psql('postgres', 'GRANT middle TO twice');
like($traveller->query_safe($shows[0][1]), qr/4711/, 'and sees it again after GRANT, within the same transaction');
$traveller->quit;
$traveller = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'chief' ]);
$traveller->query_safe($go);
is($traveller->query_safe("SELECT pg_read_file('PG_VERSION') > ''"), 't', 'a superuser of both times reads a file');
$node->safe_psql('postgres', 'ALTER ROLE chief NOSUPERUSER');
$traveller->query("SELECT pg_read_file('PG_VERSION')");
like($traveller->{stderr}, qr/only a superuser may execute pg_read_file\(\) while travelling in time/, 'and does not when the present takes it away');
$traveller->{stderr} = '';
$traveller->query('SET ROLE m1');
like($traveller->{stderr}, qr/only a superuser may change its role/, 'nor does it take another role');
$traveller->{stderr} = '';
is($traveller->query_safe('SELECT count(*) FROM of_m1'), 1, 'while the data of then stay readable');
is($traveller->query_safe('RESET strata.travel_time; SELECT current_user'), 'chief', 'and RESET works');
$traveller->quit;
$session->quit;

log_is_clean($node);
$node->stop;
done_testing();
