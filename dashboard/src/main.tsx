import '@fontsource-variable/inter/wght.css'
import 'uplot/dist/uPlot.min.css'
import './app.css'
import { createRoot } from 'react-dom/client'
import { App } from './app.tsx'
import { start } from './feed.ts'

const root = document.getElementById('root')
if (root) createRoot(root).render(<App />)
void start()
