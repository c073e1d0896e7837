# What a session keeps of functions, types and operators in memory is of one moment: nothing of it is used at another, in
# either direction.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('compiled', allow_in_place_tablespaces => 'on');

# Then, an amount has two decimals; now, four. Each function below says what it makes of the row.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE acct (id int PRIMARY KEY, amount numeric(10,2));
INSERT INTO acct VALUES (1, 1.25);
CREATE FUNCTION amt() RETURNS text LANGUAGE plpgsql AS $$
DECLARE v acct.amount%TYPE; BEGIN SELECT amount INTO v FROM acct; RETURN v; END $$;
CREATE FUNCTION row_of() RETURNS text LANGUAGE plpgsql AS $$
DECLARE r acct; BEGIN SELECT * INTO r FROM acct; RETURN r::text; END $$;
CREATE FUNCTION outer_amt() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN amt() || '/' || row_of(); END $$;
CREATE FUNCTION rounded(acct) RETURNS text LANGUAGE plpgsql AS $$
DECLARE v acct.amount%TYPE := 1.23456; BEGIN RETURN v || '/' || $1.amount; END $$;
CREATE FUNCTION sql_row() RETURNS acct LANGUAGE sql AS 'SELECT * FROM acct';
CREATE FUNCTION sql_star() RETURNS SETOF acct LANGUAGE sql AS 'SELECT * FROM acct';
CREATE FUNCTION depth(n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE v acct.amount%TYPE := 1.23456; BEGIN RETURN v || CASE WHEN n > 0 THEN ',' || depth(n - 1) ELSE '' END; END $$;
CREATE FUNCTION bumped() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE v acct.amount%TYPE := 1.23456; BEGIN RAISE NOTICE 'trigger %', v; RETURN NEW; END $$;
CREATE TABLE log (a int);
CREATE TRIGGER bumped BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION bumped();
CREATE VIEW v_amt AS SELECT amt() AS a;
CREATE FUNCTION by_view() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT a FROM v_amt); END';
SQL
my $then = now_in($node);
$node->safe_psql('postgres', <<'SQL');
DROP VIEW v_amt;
ALTER TABLE acct ALTER amount TYPE numeric(12,4);
UPDATE acct SET amount = 1.2345;
CREATE VIEW v_amt AS SELECT amt() AS a;
SQL
my $later = now_in($node);
$node->safe_psql('postgres', <<'SQL');
ALTER TABLE acct ALTER amount TYPE numeric(12,1), ADD COLUMN note text DEFAULT 'new';
UPDATE acct SET amount = 2.5;
SQL

# At each moment, in both orders, one session prints what a session that has seen nothing else prints.
my $go = sub { my ($time) = @_; return defined $time ? "SET strata.travel_time = '$time';\n" : "SET strata.travel_time = '';\n" };
sub same_at_all_moments
{
	my ($name, $query, %expected) = @_;
	my %fresh;
	$fresh{then} = (try_sql($node, $go->($then) . $query))[0];
	$fresh{later} = (try_sql($node, $go->($later) . $query))[0];
	$fresh{now} = (try_sql($node, $query))[0];
	is($fresh{$_}, $expected{$_}, "$name: a session that starts $_") for sort keys %expected;
	my %time = (then => $then, later => $later, now => undef);
	my @orders = ([qw(then now)], [qw(now then now)], [qw(then later then now later then)], [qw(later now later then now)]);
	for my $order (@orders)
	{
		my ($out, $error) = try_sql($node, join('', map { $go->($time{$_}) . "$query\n" } @$order));
		is($out, join("\n", map { $fresh{$_} } @$order), "$name: @$order") or diag($error);
	}
	return;
}
same_at_all_moments('a variable of a column\'s type', 'SELECT amt();', then => '1.25', later => '1.2345', now => '2.5');
same_at_all_moments('a row variable', 'SELECT row_of();', then => '(1,1.25)', later => '(1,1.2345)', now => '(1,2.5,new)');
same_at_all_moments('a function that calls others', 'SELECT outer_amt();', then => '1.25/(1,1.25)', now => '2.5/(1,2.5,new)');
same_at_all_moments('a row as argument', 'SELECT rounded(a) FROM acct a;', then => '1.23/1.25', later => '1.2346/1.2345', now => '1.2/2.5');
same_at_all_moments('an SQL function that returns a row', 'SELECT sql_row();', then => '(1,1.25)', now => '(1,2.5,new)');
same_at_all_moments('an SQL function that returns rows', 'SELECT * FROM sql_star();', then => '1|1.25', later => '1|1.2345', now => '1|2.5|new');
same_at_all_moments('a function that calls itself', 'SELECT depth(3);', then => '1.23,1.23,1.23,1.23', now => '1.2,1.2,1.2,1.2');
same_at_all_moments('a function behind a view', 'SELECT by_view();', then => '1.25', later => '1.2345', now => '2.5');
same_at_all_moments('a DO block', 'DO $$ DECLARE v acct.amount%TYPE := 1.23456; BEGIN PERFORM set_config(\'my.v\', v::text, false); END $$; SHOW my.v;',
	then => '1.23', later => '1.2346', now => '1.2');
same_at_all_moments('a cast in a function of its own', 'SELECT set_config(\'my.f\', amt(), false)::numeric;', then => '1.25', now => '2.5');

# A trigger fires in the present only, and is compiled there.
my ($out, $error) = try_sql($node, $go->($then) . 'SELECT amt();' . $go->() . 'INSERT INTO log VALUES (1);' . $go->($later) . 'SELECT amt();' . $go->() . 'INSERT INTO log VALUES (2);');
is(join(',', $error =~ /trigger (\S+)/g), '1.2,1.2', 'a trigger has the types of the present');

# Prepared statements and transactions.
($out) = try_sql($node, "PREPARE p AS SELECT amt(); EXECUTE p; BEGIN; SET LOCAL strata.travel_time = '$then'; EXECUTE p; COMMIT; EXECUTE p; BEGIN; SET LOCAL strata.travel_time = '$later'; EXECUTE p; ROLLBACK; EXECUTE p;");
is($out, "2.5\n1.25\n2.5\n1.2345\n2.5", 'SET LOCAL in turns: each EXECUTE compiles for its moment');

# A switch inside a procedure or DO block would leave its variables with the types of before.
for my $change ("PERFORM set_config('strata.travel_time', '', false); COMMIT;", 'COMMIT; SET strata.travel_time = DEFAULT;', 'RESET strata.travel_time; COMMIT;',
	"PERFORM set_config('strata.travel_time', '', false); ROLLBACK; SET strata.travel_time = '';")
{
	for my $read ('SELECT amount INTO v FROM acct;', 'v := amt();')
	{
		($out, $error) = try_sql($node, $go->($then) . "DO \$\$ DECLARE v acct.amount%TYPE; BEGIN $change $read RAISE NOTICE 'read %', v; END \$\$; SELECT amt();");
		unlike($error, qr/read/, "a DO block reads nothing after $change ($read)");
		like($error, qr/25001: the moment that the session travels to was changed inside a procedure or DO block/, 'it says why');
		like($out, qr/^(1\.25|2\.5)$/, 'the session goes on');
	}
}
$node->safe_psql('postgres', "CREATE PROCEDURE depart() LANGUAGE plpgsql AS \$\$ BEGIN SET strata.travel_time = '$then'; COMMIT; END \$\$");
($out, $error) = try_sql($node, 'SHOW transaction_read_only; CALL depart(); SHOW transaction_read_only; SELECT amt();');
is($out, "off\non\n1.25", 'a procedure that reads nothing afterwards moves the session for the next statement') or diag($error);
($out, $error) = try_sql($node, "DO \$\$ BEGIN SET strata.travel_time = '$then'; COMMIT; SET strata.travel_time = ''; PERFORM amt(); END \$\$; SELECT amt();");
is($out, '2.5', 'a procedure that takes its change back goes on') or diag($error);

log_is_clean($node);
$node->stop;
done_testing();
