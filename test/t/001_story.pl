# The story that the README opens with, with the one setting that it names.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

my $data = PostgreSQL::Test::Utils::tempdir . '/data';
my $sockets = PostgreSQL::Test::Utils::tempdir_short;
my $log = "$data.log";

sub session
{
	my ($sql) = @_;
	my ($out, $error) = ('', '');
	IPC::Run::run([ 'psql', '-XAtq', '-h', $sockets, '-d', 'postgres' ], '<', \$sql, '>', \$out, '2>', \$error);
	chomp($out, $error);
	return ($out, $error);
}

command_ok([ 'initdb', '-D', $data, '--no-sync', '-A', 'trust' ], 'initdb makes a cluster');
append_to_file("$data/postgresql.conf", "strata_enabled = on\n");
command_ok(
	[ 'pg_ctl', '-D', $data, '-l', $log, '-o', "-k $sockets -c listen_addresses=''", '-w', 'start' ],
	'a server starts with strata_enabled = on and no other setting');

my ($out, $error);
for (1 .. 600)
{
	($out, $error) =
	  session("SELECT 'begun' FROM set_config('strata.travel_time', clock_timestamp()::text, false)");
	last if $out eq 'begun';
	select(undef, undef, undef, 0.1);
}
is($out, 'begun', 'history begins by itself') or diag($error);

($out, $error) = session(<<'SQL');
CREATE TABLE demo (id serial PRIMARY KEY, name text, amount numeric);
INSERT INTO demo (name, amount) VALUES ('Alice', 100.00);
SELECT now() AS that_time \gset
ALTER TABLE demo ADD COLUMN email text;
INSERT INTO demo (name, amount, email) VALUES ('Bob', 200.00, 'bob@example.com');
DROP TABLE demo;
SET strata.travel_time = :'that_time';
\pset tuples_only off
SELECT * FROM demo;
\pset tuples_only on
SELECT * FROM demo WHERE id = 1;
SELECT last_value FROM demo_id_seq;
RESET strata.travel_time;
SELECT count(*) FROM pg_class WHERE relname = 'demo';
SELECT * FROM demo;
SQL
like($out, qr/^id\|name\|amount\n1\|Alice\|100\.00\n\(1 row\)\n/,
	'the dropped table is back with its old schema and its one row');
like($out, qr/\n1\|Alice\|100\.00\n\d+\n0$/, 'its index and its sequence are back too, and RESET returns to the present');
is($error =~ s/.*ERROR/ERROR/r, "ERROR:  relation \"demo\" does not exist\nLINE 1: SELECT * FROM demo;\n                      ^",
	'after RESET the table is dropped again, and nothing before that was an error');

is((session("SELECT count(*) FROM pg_extension WHERE extname = 'strata'"))[0], 0, 'travel itself needs no extension');

($out, $error) = session(<<'SQL');
CREATE EXTENSION strata;
SELECT * FROM strata.undrop('demo');
SELECT * FROM demo ORDER BY id;
SQL
is("$out$error", <<'ROWS' =~ s/\n$//r, 'with it the dropped table comes back');
sequence|public.demo_id_seq|restored|
table|public.demo|restored|2 rows
constraint|demo_pkey ON public.demo|restored|
1|Alice|100.00|
2|Bob|200.00|bob@example.com
ROWS

command_ok([ 'pg_ctl', '-D', $data, '-m', 'fast', '-w', 'stop' ], 'the server stops');
unlike(slurp_file($log), qr/PANIC|TRAP:|terminated by signal/, 'the log has no crash and no failed assertion');

END
{
	# Whatever failed above, no server stays behind.
	if (defined $data && -f "$data/postmaster.pid")
	{
		my $status = $?;
		system_log('pg_ctl', '-D', $data, '-m', 'immediate', 'stop');
		$? = $status;
	}
}

done_testing();
