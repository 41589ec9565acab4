export * from '../ndjson.ts'
