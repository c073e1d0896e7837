# Code of then runs with no power of today: not in C or an untrusted language, not over the server, not in the present.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('code', max_connections => 20);
my $folder = PostgreSQL::Test::Utils::tempdir;
$node->safe_psql('postgres', <<"SQL");
CREATE ROLE gone SUPERUSER;
CREATE ROLE boss SUPERUSER LOGIN;
CREATE ROLE clerk LOGIN;
CREATE TABLE t (a int);
INSERT INTO t VALUES (1);
GRANT SELECT ON t TO clerk;
CREATE FUNCTION by_gone(text) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN EXECUTE \$1; RETURN 1; END';
ALTER FUNCTION by_gone OWNER TO gone;
CREATE FUNCTION by_boss(text) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN EXECUTE \$1; RETURN 1; END';
ALTER FUNCTION by_boss OWNER TO boss;
CREATE VIEW program AS SELECT by_gone('COPY (SELECT 1) TO PROGRAM ''cat > $folder/program''');
CREATE VIEW file AS SELECT by_gone('COPY (SELECT 1) TO ''$folder/file''');
CREATE VIEW reader AS SELECT by_gone('SELECT pg_read_file(''PG_VERSION'')');
CREATE VIEW export AS SELECT by_gone('SELECT lo_export(77, ''$folder/export'')');
CREATE VIEW killer AS SELECT by_gone('SELECT pg_terminate_backend(1)');
CREATE VIEW setter AS SELECT by_gone('SET log_statement = none');
CREATE VIEW doer AS SELECT by_gone('DO LANGUAGE untrusted ''BEGIN NULL; END''');
CREATE VIEW system AS SELECT by_gone('ALTER SYSTEM SET work_mem = 100');
GRANT SELECT ON program TO clerk;
SELECT lo_from_bytea(77, 'x');

CREATE EXTENSION fuzzystrmatch;
CREATE FUNCTION same(text) RETURNS text LANGUAGE c STRICT AS '\$libdir/fuzzystrmatch', 'soundex';
CREATE FUNCTION dropped(text) RETURNS text LANGUAGE c STRICT AS '\$libdir/fuzzystrmatch', 'soundex';
CREATE FUNCTION revoked(text) RETURNS text LANGUAGE c STRICT AS '\$libdir/fuzzystrmatch', 'soundex';
CREATE FUNCTION definer(text) RETURNS text LANGUAGE c STRICT SECURITY DEFINER AS '\$libdir/fuzzystrmatch', 'soundex';
CREATE FUNCTION with_set(text) RETURNS text LANGUAGE c STRICT SET work_mem = '1MB' AS '\$libdir/fuzzystrmatch', 'soundex';
CREATE FUNCTION alias(text) RETURNS text LANGUAGE internal STRICT AS 'upper';
-- As an older version of an extension has it: what today's library takes for a pointer is a number.
CREATE FUNCTION older(int) RETURNS text LANGUAGE c STRICT AS '\$libdir/fuzzystrmatch', 'soundex';
CREATE FUNCTION older_still(int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT older(\$1)';
CREATE LANGUAGE untrusted HANDLER plpgsql_call_handler INLINE plpgsql_inline_handler VALIDATOR plpgsql_validator;
CREATE FUNCTION untrusted_same() RETURNS int LANGUAGE untrusted AS 'BEGIN RETURN 1; END';
CREATE FUNCTION untrusted_changed() RETURNS int LANGUAGE untrusted AS 'BEGIN RETURN 1; END';
CREATE FUNCTION trusted() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM t); END';

CREATE PROCEDURE leave(text) LANGUAGE plpgsql AS 'BEGIN EXECUTE \$1; COMMIT; INSERT INTO t VALUES (99); END';
CREATE PROCEDURE leave_by_expression() LANGUAGE plpgsql AS 'DECLARE x text; BEGIN x := set_config(''strata.travel_time'', '''', false); COMMIT; INSERT INTO t VALUES (99); END';
CREATE FUNCTION away() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN set_config(''strata.travel_time'', '''', false); END';
CREATE FUNCTION away_by_null() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN set_config(''strata.travel_time'', NULL, false); END';
CREATE FUNCTION away_in_sql() RETURNS text LANGUAGE sql AS 'SELECT set_config(''strata.travel_time'', '''', false)';
CREATE FUNCTION away_in_parsed_sql() RETURNS text LANGUAGE sql RETURN set_config('strata.travel_time', '', false);
CREATE FUNCTION away_in_stable_sql() RETURNS text LANGUAGE sql STABLE AS 'SELECT set_config(''strata.travel_time'', NULL, false)';
CREATE FUNCTION away_caught() RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM away(); RETURN 1; EXCEPTION WHEN OTHERS THEN RETURN ''caught''; END';
GRANT SET ON PARAMETER strata.travel_time TO clerk;
SQL
my $then = now_in($node);
$node->safe_psql('postgres', <<'SQL');
DROP VIEW program, file, reader, export, killer, setter, doer, system;
DROP FUNCTION by_gone, by_boss, dropped, older_still, older, definer, with_set, alias;
DROP ROLE gone;
REVOKE EXECUTE ON FUNCTION revoked FROM PUBLIC;
CREATE OR REPLACE FUNCTION untrusted_changed() RETURNS int LANGUAGE untrusted AS 'BEGIN RETURN 2; END';
DROP FUNCTION trusted;
DROP PROCEDURE leave, leave_by_expression;
INSERT INTO t VALUES (2);
SQL
my $go = "SET strata.travel_time = '$then';";

sub as
{
	my ($user, $sql) = @_;
	return join('', try_sql($node, "$go $sql", user => $user));
}

# Power over the server, of a superuser who was dropped since, in the hands of a superuser of both times.
for my $view ('program', 'file', 'reader', 'export', 'killer', 'setter', 'doer', 'system')
{
	like(as('boss', "SELECT * FROM $view"), qr/ERROR:  (42501|25006): /, "a function of a superuser who was dropped since has no power over the server: $view");
}
ok(!-e "$folder/$_", "and nothing was written: $_") for 'program', 'file', 'export';
like(as('clerk', 'SELECT * FROM program'), qr/ERROR:  42501: /, 'nor in the hands of others');
like(as('clerk', "SELECT by_boss('COPY (SELECT 1) TO PROGRAM ''true''')"), qr/ERROR:  42501: /, 'nor does one of a superuser of both give it to others');
is(as('boss', "SELECT by_boss('COPY (SELECT 1) TO PROGRAM ''cat > /dev/null''')"), 1, 'a superuser of both has it in a function of another one');

# Code that is bound by no rights.
is(as('clerk', "SELECT same('x'), trusted(), untrusted_same(), soundex('x')"), 'X000|1|1|X000', 'a function that the present has as well is executed, and any in a trusted language');
for my $case (
	[ "dropped('x')", 'no such function', 'a function in C that was dropped since' ],
	[ "definer('x')", 'no such function', 'the same with SECURITY DEFINER' ],
	[ "with_set('x')", 'no such function', 'the same with SET' ],
	[ "alias('x')", 'no such function', 'an internal function under another name' ],
	[ 'older(1)', 'no such function', 'a function in C as an older version of an extension had it' ],
	[ 'older_still(1)', 'no such function', 'the same, called by another function' ],
	[ 'untrusted_changed()', 'no such function', 'a function in an untrusted language that was changed since' ],
	[ "revoked('x')", 'does not grant EXECUTE', 'a function in C to which the present gives no right' ])
{
	my ($call, $why, $what) = @$case;
	like(as('clerk', "SELECT $call"), qr/ERROR:  42501: permission denied for function .* while travelling in time.*$why.*as of \Q$then\E/s, "refused: $what");
}
is(as('boss', "SELECT dropped('x'), definer('x'), with_set('x'), alias('x'), untrusted_changed(), revoked('x')"), 'X000|X000|X000|X|1|X000', 'a superuser of both may execute them');
my $session = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'clerk' ]);
$session->query_safe($go);
is($session->query_safe("SELECT same('y')"), 'Y000', 'what the present has is executed');
$node->safe_psql('postgres', 'GRANT SELECT ON t TO boss; DROP FUNCTION same');
$session->query("SELECT same('y')");
like($session->{stderr}, qr/no such function/, 'and is not when it is dropped while the session is in the past');
$session->{stderr} = '';
$session->quit;

# Nothing of the past takes the session back to the present.
for my $way ("SET strata.travel_time = ''''", 'RESET strata.travel_time', 'RESET ALL', 'SET strata.travel_time TO DEFAULT', "SET strata.travel_time = ''now''",
	"SELECT set_config(''strata.travel_time'', NULL, false)")
{
	my $error = as('boss', "CALL leave('$way'); SHOW strata.travel_time;");
	like($error, qr/ERROR:  55000: a function or procedure of the past cannot change the moment.*as of LSN /s, "a procedure of the past cannot leave it: $way");
	like($error, qr/^\Q$then\E/, 'and the session is where it was');
}
like(as('boss', 'CALL leave_by_expression(); SHOW strata.travel_time;'), qr/^\Q$then\E.*ERROR:  55000: /s, 'nor by an expression');
for my $call ('away()', 'away_by_null()', 'away_in_sql()', 'away_in_parsed_sql()', 'away_in_stable_sql()')
{
	like(as('clerk', "SELECT $call; SHOW strata.travel_time;"), qr/^\Q$then\E.*ERROR:  55000: a function or procedure/s, "nor can a function: $call");
}
is(as('clerk', 'SELECT away_caught(); SHOW strata.travel_time;'), "caught\n$then", 'nor where it catches the error');
is($node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE a = 99'), 0, 'no procedure of the past has written in the present');
is(as('clerk', "SELECT set_config('strata.travel_time', '', false); SELECT count(*) FROM t;"), "\n2", 'the client leaves by set_config');
is(as('boss', "DO \$\$BEGIN PERFORM set_config('strata.travel_time', '', false); END\$\$; SELECT count(*) FROM t;"), 2, 'and in a block of its own');

log_is_clean($node);
$node->stop;
done_testing();
