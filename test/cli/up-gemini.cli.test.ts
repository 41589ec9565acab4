import { geminiSettings } from './settings.ts'
import { describeUp } from './up.ts'

const error = (code: number, status: string, message: string, details: readonly object[] = []) => ({
  error: { code, status, message, details },
})
/** A limit by the day: it retries those by the minute for a long time, and says nothing meanwhile. */
const DAILY = {
  '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
  violations: [{ quotaId: 'GenerateRequestsPerDayPerProjectPerModel-FreeTier' }],
}

await describeUp({
  name: 'gemini',
  settings: geminiSettings,
  quota: {
    fault: () => ({
      status: 429,
      body: error(429, 'RESOURCE_EXHAUSTED', 'You exceeded your current quota', [DAILY]),
    }),
    tellsUntil: false,
  },
  overload: { status: 503, body: error(503, 'UNAVAILABLE', 'The model is overloaded.') },
  unauthorized: {
    status: 401,
    body: error(401, 'UNAUTHENTICATED', 'Request had invalid authentication credentials.'),
  },
  shellTool: 'execute',
  resumes: false,
})
