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
  { path: '/catalogue', title: 'Catalogue', group: 'Work', key: 'c', perm: 'request.read', load: () => import('./pages/catalogue/Catalogue') },
  { path: '/catalogue/:t/new', title: 'Order', perm: 'request.read', load: () => import('./pages/catalogue/Order') },
  { path: '/requests', title: 'Requests', group: 'Work', key: 'r', perm: 'request.read', count: 'requests', load: () => import('./pages/requests/Requests') },
  { path: '/approvals', title: 'Approvals', group: 'Work', key: 'a', perm: 'run.read', count: 'approvals', load: () => import('./pages/approvals/Approvals') },
  { path: '/runs', title: 'Runs', group: 'Run', key: 'w', perm: 'run.read', load: () => import('./pages/runs/Runs') },
  { path: '/rollouts', title: 'Rollouts', group: 'Run', key: 'o', perm: 'rollout.read', load: () => import('./pages/rollouts/Rollouts') },
  { path: '/rollouts/:entity', title: 'Rollout', perm: 'rollout.read', load: () => import('./pages/rollouts/Rollout') },
  { path: '/workflows', title: 'Workflows', group: 'Define', key: 't', perm: 'definition.read', load: () => import('./pages/workflows/Workflows') },
  { path: '/workflows/:t', title: 'Workflow', perm: 'definition.read', load: () => import('./pages/workflows/Workflow') },
  { path: '/resources', title: 'Resources', group: 'Define', perm: 'request.read', load: () => import('./pages/resources/Resources') },
  { path: '/resources/:kind/:n', title: 'Resource', perm: 'request.read', load: () => import('./pages/resources/Resource') },
  { path: '/events', title: 'Events', group: 'Watch', key: 'e', perm: 'run.read', load: () => import('./pages/events/Events') },
  { path: '/views', title: 'End systems', group: 'Define', perm: 'request.read', load: () => import('./pages/views/Views') },
  { path: '/views/:v', title: 'End system', perm: 'request.read', load: () => import('./pages/views/View') },
  { path: '/services', title: 'Services', group: 'Watch', key: 's', load: () => import('./pages/services/Services') },
  { path: '/audit', title: 'Audit', group: 'Watch', perm: 'audit.read', load: () => import('./pages/audit/Audit') },
  { path: '/settings', title: 'Settings', group: 'Settings', load: () => import('./pages/settings/Settings') },
  { path: '/requests/:id', title: 'Request', perm: 'run.read', load: () => import('./pages/trace/RequestPage') },
  { path: '/runs/:id', title: 'Run', perm: 'run.read', load: () => import('./pages/trace/RunPage') },
  { path: '/login', title: 'Log in', load: () => import('./pages/login/Login') },
]
