// Every page, in the order of the navigation. To add one: a directory in pages/, and a line here
// (docs/recipes/page.md).
import type { ComponentType } from 'react'
import type { Permission } from './api/roles'

export interface Page {
  /** Address; :names are given to the component. Its first element must be its own. */
  path: string
  title: string
  /** Where it stands in the navigation; pages without one are reached from others. */
  group?: 'Work' | 'Run' | 'Define' | 'Watch' | 'Settings'
  /** Key after g that goes there. */
  key?: string
  /** Permission it needs in the namespace; without it the page says so. */
  perm?: Permission
  /** Name of the figure beside it in the navigation; see shell/counts.ts. */
  count?: string
  load: () => Promise<{ default: ComponentType<Record<string, string>> }>
}

export const pages: Page[] = [
  { path: '/', title: 'Home', group: 'Work', key: 'h', load: () => import('./pages/home/Home') },
  { path: '/requests', title: 'Requests', group: 'Work', key: 'r', perm: 'request.read', count: 'requests', load: () => import('./pages/requests/Requests') },
  { path: '/login', title: 'Log in', load: () => import('./pages/login/Login') },
]
