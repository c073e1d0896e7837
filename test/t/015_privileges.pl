# Who may travel, and with which rights.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('privileges');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE plain LOGIN;
CREATE ROLE granted LOGIN;
CREATE ROLE former LOGIN;
CREATE TABLE open (a int);
CREATE TABLE secret (a int);
INSERT INTO open VALUES (1);
INSERT INTO secret VALUES (1);
GRANT SELECT ON open TO PUBLIC;
GRANT SELECT ON secret TO former;
SQL
my $then = now_in($node);
my $lsn = lsn_in($node);
$node->safe_psql('postgres', <<'SQL');
INSERT INTO open VALUES (2);
REVOKE SELECT ON secret FROM former;
GRANT SELECT ON secret TO granted;
GRANT SET ON PARAMETER strata.travel_time TO granted, former;
CREATE ROLE newcomer LOGIN;
GRANT SET ON PARAMETER strata.travel_time TO newcomer;
CREATE ROLE boss SUPERUSER LOGIN;
SQL
my $go = "SET strata.travel_time = '$then';";
my $count = 'SELECT count(*) FROM open;';

sub as
{
	my ($user, $sql, %option) = @_;
	return try_sql($node, $sql, user => $user, %option);
}

my ($out, $error) = as('plain', "$go $count");
like($error, qr/42501: .*permission denied to set parameter "strata\.travel_time"/, 'a role without GRANT SET ON PARAMETER may not travel');
is($out, 2, 'and stays in the present');
like((as('plain', "SELECT set_config('strata.travel_time', '$then', false)"))[1], qr/42501/, 'not by set_config either');
like((as('plain', "SET strata.travel_lsn = '$lsn'"))[1], qr/42501: .*"strata\.travel_lsn"/, 'not by strata.travel_lsn either');
like((as('plain', $count, options => pgoptions($then)))[1], qr/FATAL: .*permission denied to set parameter/, 'not by PGOPTIONS either');
is((as('plain', "RESET strata.travel_time; SHOW strata.travel_time; DISCARD ALL; $count"))[0], "\n2", 'RESET and SHOW are for everybody');

($out, $error) = as('granted', "$go $count");
is("$out$error", 1, 'a role with GRANT SET ON PARAMETER strata.travel_time may travel');
is((as('granted', $count, options => pgoptions($then)))[0], 1, 'and by PGOPTIONS');
like((as('granted', "SET strata.travel_lsn = '$lsn'"))[1], qr/42501/, 'the right to strata.travel_time is not one to strata.travel_lsn');
like((as('granted', "$go SELECT * FROM secret"))[1], qr/42501: .*permission denied for table secret/, 'a right that was granted later does not hold in the past');
is((as('former', "$go SELECT * FROM secret"))[0], 1, 'a right that was revoked later holds in the past');
like((as('former', 'SELECT * FROM secret'))[1], qr/42501/, 'but not in the present');
is((as('granted', "$go RESET strata.travel_time; SELECT count(*) FROM secret"))[0], 1, 'back in the present its rights are back');

($out, $error) = as('newcomer', "$go SELECT count(*) FROM pg_class WHERE relname = 'open'; RESET strata.travel_time; $count");
like($out, qr/(^|\n)2$/, 'RESET works for a role that did not exist then');
($out, $error) = as('newcomer', "$go SELECT * FROM secret; RESET strata.travel_time;");
like($error, qr/42501|42704/, 'a role that did not exist then has no rights of its own');
($out, $error) = as('boss', "$go SELECT count(*) FROM secret; SELECT 1; RESET strata.travel_time; SELECT count(*) FROM secret;");
like($out, qr/1\n1$/, 'a superuser who did not exist then can come back');
is((as('boss', "$go SHOW strata.travel_time; SELECT 'still here';"))[0], "$then\nstill here", 'and keeps its session');

# Rights are those of the present, whatever the past says of them.
$node->safe_psql('postgres', 'REVOKE SET ON PARAMETER strata.travel_time FROM granted');
like((as('granted', $go))[1], qr/42501/, 'after REVOKE the role may not travel any more');
my $travelling = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'former' ]);
$travelling->query_safe($go);
$node->safe_psql('postgres', 'REVOKE SET ON PARAMETER strata.travel_time FROM former');
is($travelling->query_safe("RESET strata.travel_time; $count"), 2, 'RESET works after REVOKE');
$travelling->query($go);
like($travelling->{stderr}, qr/permission denied to set parameter/, 'and the next journey is refused');
$travelling->{stderr} = '';
$travelling->quit;
($out, $error) = try_sql($node, "SET ROLE plain; $go RESET ROLE; $go $count");
like($error, qr/42501/, 'SET ROLE to a role without the right takes it away');
is($out, 1, 'RESET ROLE gives it back');
($out, $error) = try_sql($node, "$go SET ROLE plain; SET strata.travel_time = 'now'; RESET strata.travel_time; $count");
like($error, qr/42501/, 'in the past the right of another role is not looked up');
is($out, 2, 'RESET works after SET ROLE in the past');
($out, $error) = try_sql($node, "SET SESSION AUTHORIZATION granted; RESET SESSION AUTHORIZATION; $go $count");
is($out, 1, 'a superuser may travel after RESET SESSION AUTHORIZATION');
$node->safe_psql('postgres', "CREATE FUNCTION lend() RETURNS text LANGUAGE sql SECURITY DEFINER AS \$\$SELECT set_config('strata.travel_time', '$then', false)\$\$");
($out, $error) = as('plain', "SELECT 'lent' FROM lend(); $count");
is($out, "lent\n1", 'a superuser may lend the right by a SECURITY DEFINER function');
is((as('plain', "SELECT 'lent' FROM lend(); RESET strata.travel_time; $count"))[0], "lent\n2", 'and the borrower comes back');

# Stored settings are subject to the same right.
$node->safe_psql('postgres', "ALTER ROLE plain SET strata.travel_time = '$then'");
($out, $error) = as('plain', "$count SET strata.travel_time = ''; $count");
is($out, 2, 'a setting that a superuser stored for a role without the right: no query until it asks for the present');
like($error, qr/WARNING.*42501: +permission denied to set parameter/s, 'it is told why');
($out, $error) = as('newcomer', "ALTER ROLE newcomer SET strata.travel_time = '$then'");
is($error, '', 'a role with the right may store the setting for itself');

log_is_clean($node);
$node->stop;
done_testing();
