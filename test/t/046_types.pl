# Types that are dropped and made again have other OIDs. What a client asks of a type at a moment agrees with the rows of that
# moment, before and after any switch, and an OID or a prepared statement of another moment is an error or means the type of the moment.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('types');
$node->safe_psql('postgres', 'CREATE EXTENSION strata');

my @kinds = (
	[ mood => "ENUM ('sad', 'happy')", "ENUM ('happy', 'angry', 'sad')", "'happy'" ],
	[ pair => '(a int, b text)', '(b text, a numeric, c bool)', [ "(1, 'one')", "('one', 2.5, true)" ] ],
	[ span => 'RANGE (subtype = int4)', 'RANGE (subtype = text)', [ "'[1,5)'", "'[a,k)'" ] ]);
my @values;

sub life
{
	my ($number) = @_;
	for my $kind (@kinds)
	{
		my ($name, @definitions) = @{$kind}[0 .. 2];
		my $value = ref $kind->[3] ? $kind->[3][$number] : $kind->[3];
		$node->safe_psql('postgres', "CREATE TYPE $name AS $definitions[$number]; CREATE TABLE of_$name (v $name, many ${name}[]); INSERT INTO of_$name VALUES ($value, ARRAY[${value}::$name])");
	}
	my ($definition, $value) = $number ? ('text CHECK (length(VALUE) > 2)', 'long') : ('int CHECK (VALUE > 2)', 3);
	$node->safe_psql('postgres', "CREATE DOMAIN checked AS $definition; CREATE TABLE of_checked (v checked, many checked[]); INSERT INTO of_checked VALUES ('$value', ARRAY['$value'::checked])");
	return;
}

# As drivers look types up: by the OID that a column's description has.
my $lookup = q{SELECT typname, typtype, typrelid <> 0, (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid),
(SELECT string_agg(attname || ' ' || atttypid::regtype, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = t.typrelid AND attnum > 0), typbasetype::regtype,
(SELECT rngsubtype::regtype FROM pg_range WHERE rngtypid = t.oid)};
my @tables = map { "of_$_" } (map { $_->[0] } @kinds), 'checked';
my $sees = join(";\n", map { "SELECT v, many, pg_typeof(v)::oid, pg_typeof(many)::oid, v::text, many[1] = v FROM $_; $lookup FROM pg_type t, (SELECT pg_typeof(v)::oid AS o FROM $_) x WHERE t.oid = x.o" } @tables) . ';';
my @oids = map { "SELECT pg_typeof(v)::oid FROM $_" } @tables;

life(0);
my @lives = ({ at => lsn_in($node), sees => $node->safe_psql('postgres', $sees), oids => [ map { $node->safe_psql('postgres', $_) } @oids ] });
$node->safe_psql('postgres', join(';', map { my $name = s/^of_//r; "DROP TABLE $_; DROP TYPE $name" } @tables));
life(1);
push @lives, { at => lsn_in($node), sees => $node->safe_psql('postgres', $sees), oids => [ map { $node->safe_psql('postgres', $_) } @oids ] };
$node->safe_psql('postgres', "ALTER TYPE mood ADD VALUE 'bored' BEFORE 'angry'; ALTER TYPE pair ADD ATTRIBUTE d int; ALTER DOMAIN checked DROP CONSTRAINT checked_check");
push @lives, { at => '', sees => $node->safe_psql('postgres', $sees), oids => $lives[1]{oids} };
isnt($lives[0]{oids}[$_], $lives[1]{oids}[$_], "the type of $tables[$_] has another OID") for 0 .. $#tables;

# One session, from life to life and back, each several times.
my @order = (0, 1, 2, 1, 0, 2, 0, 1, 2);
my $script = join("\n", map { "SET strata.travel_lsn = '$lives[$_]{at}'; $sees" } @order);
my ($out, $error) = try_sql($node, $script);
is($error, '', 'no error from moment to moment');
is($out, join("\n", map { $lives[$_]{sees} } @order), 'rows, types of columns and what the catalogs say of them agree at each moment');

# An OID that a client has kept from another moment means no type, not another one.
for my $i (0 .. $#tables)
{
	is(at_lsn($node, $lives[0]{at}, "SELECT count(*) FROM pg_type WHERE oid = $lives[1]{oids}[$i]; SELECT format_type($lives[1]{oids}[$i], NULL)"), "0\n???", "$tables[$i]: the OID of now means nothing then");
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_type WHERE oid = $lives[0]{oids}[$i]; SELECT format_type($lives[0]{oids}[$i], NULL)"), "0\n???", "$tables[$i]: the OID of then means nothing now");
}

# Prepared statements: analysed again from their text. A parameter's type is an OID. The last value: the statement at the
# first moment, at the second one.
my @prepared = (
	[ 'PREPARE p AS SELECT v, many FROM of_mood', 'EXECUTE p', 'happy|{happy}', 'happy|{happy}' ],
	[ 'PREPARE p AS SELECT v, (v).a FROM of_pair', 'EXECUTE p', '(1,one)|1', '(one,2.5,t)|2.5' ],
	[ "PREPARE p AS SELECT 'happy'::mood < 'sad'::mood", 'EXECUTE p', 'f', 't' ],
	[ 'PREPARE p (mood) AS SELECT $1, v FROM of_mood', "EXECUTE p ('happy')", 'happy|happy', 'happy|happy' ],
	[ 'PREPARE p (checked) AS SELECT $1 = v FROM of_checked', "EXECUTE p ('long')", qr/22P02/, 't' ],
	[ 'PREPARE p (pair) AS SELECT ($1).a FROM of_pair', q{EXECUTE p ('(one,7,f)')}, qr/22P02/, '7' ]);
for my $case (@prepared)
{
	my ($prepare, $execute, @results) = @$case;
	for my $first (0, 1)
	{
		my $second = 1 - $first;
		my ($out, $error) = try_sql($node, "SET strata.travel_lsn = '$lives[$first]{at}'; $prepare; $execute; SET strata.travel_lsn = '$lives[$second]{at}'; $execute; SET strata.travel_lsn = '$lives[$first]{at}'; $execute;");
		note("$prepare\n$out\n$error");
		my @out = split /\n/, $out;
		is($out[0], $results[$first], "$prepare: at its own moment") unless ref $results[$first];
		is($out[-1], $results[$first], 'and there again') unless ref $results[$first];
		next if ref $results[0] || ref $results[1];
		# Where the statement has a parameter or a column of such a type it is an error, as after DROP TYPE.
		is($out[1], $results[$second], 'what it means at another one') if @out == 3;
		like($error, qr/cached plan must not change result type|cache lookup failed for type/, 'or an error') if @out < 3;
	}
}
log_is_clean($node, 'cache lookup failed for type|STATEMENT:  EXECUTE p');
$node->stop;
done_testing();
