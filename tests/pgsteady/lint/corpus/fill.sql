-- 100,000 rows in each large table; what is unique, NULL or without a partner is said here.

INSERT INTO customers (email, name, nickname, city, age, balance, code, joined, seen, network,
                       preferences, zip, tier)
SELECT 'Person.' || n || '@example.org',
       'Name ' || n,
       CASE WHEN n % 10 <> 0 THEN 'nick ' || n % 977 END,  -- every tenth has none
       'City ' || n % 500,                                 -- nullable, but none is NULL
       n % 90,
       n % 1000 + 0.25,
       lpad(to_hex(n), 8, '0'),
       timestamp '2020-01-01' + n * interval '1 minute',
       timestamptz '2024-01-01 00:00+00' + n * interval '1 minute',
       network(set_masklen(('10.' || n % 250 || '.' || n / 250 % 250 || '.0')::inet, 24)),
       json_build_object('n', n % 7),
       lpad((n % 90000)::text, 5, '0'),
       CASE n % 3 WHEN 0 THEN 'gold' WHEN 1 THEN 'silver' ELSE 'bronze' END
FROM generate_series(1, 100000) AS n;

INSERT INTO orders (customer_id, referrer_id, reference, batch, state, total, quantity, placed_on, during)
SELECT n,
       n * 3,                                              -- two of three are no customer
       'R' || n,                                           -- unique
       'B' || n % 100,                                     -- not unique
       (ARRAY['new', 'paid', 'sent'])[n % 3 + 1]::order_state,
       n % 5000 + 0.5,
       n % 40000,
       date '2020-01-01' + n % 1500,
       int4range(n * 2, n * 2 + 1)                         -- none overlaps another
FROM generate_series(1, 100000) AS n;

INSERT INTO payments SELECT n, n, n % 100 + 0.5, 'card' FROM generate_series(1, 100000) AS n;
INSERT INTO readings SELECT n, n % 100 FROM generate_series(0, 99999) AS n;
INSERT INTO readings_3 SELECT n, n % 100 FROM generate_series(100000, 149999) AS n;
INSERT INTO archive.letters SELECT n, 'letter ' || n FROM generate_series(1, 1000) AS n;

INSERT INTO documents (title, embedding, long_embedding, any_embedding)
SELECT 'Title ' || n,
       array_fill(n % 100, ARRAY[8])::vector,
       CASE WHEN n % 20 = 0 THEN array_fill(n % 7, ARRAY[2500])::vector END,
       array_fill(n % 9, ARRAY[3])::vector
FROM generate_series(1, 4000) AS n;

REFRESH MATERIALIZED VIEW batch_totals;
