-- A gate is kept as its name and the hash of its words: a command that stands in a database that others share is not run. The hash is that
-- of gateHash in src/contract/gates.ts: SHA-256 of the words as JSON without blanks.
do $$
begin
  if (select atttypid from pg_attribute where attrelid = 'swarm.workflow_stages'::regclass and attname = 'gate' and not attisdropped) = 'jsonb'::regtype then
    alter table swarm.workflow_stages rename column gate to words;
    alter table swarm.workflow_stages add column gate text, add column gate_hash text check (gate_hash ~ '^[0-9a-f]{64}$');
    update swarm.workflow_stages set gate = coalesce(nullif(regexp_replace(words ->> 0, '^.*/', ''), ''), words ->> 0, ''),
        gate_hash = encode(sha256(convert_to('[' || (select coalesce(string_agg(to_json(word)::text, ',' order by n), '')
          from jsonb_array_elements_text(words) with ordinality x(word, n)) || ']', 'UTF8')), 'hex')
      where words is not null;
    alter table swarm.workflow_stages drop column words;
    alter table swarm.workflow_stages add constraint workflow_stages_gate_named check ((gate is null) = (gate_hash is null));
  end if;
end $$;
