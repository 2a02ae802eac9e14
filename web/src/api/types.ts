// Short names for what the API speaks of.
import type { Schemas } from './client'

export type Run = Schemas['Run']
export type Task = Schemas['Task']
export type TaskRequest = Schemas['Request']
export type RunEvent = Schemas['RunEvent']
export type Reason = Schemas['Reason']
export type Approval = Schemas['Approval']
export type Me = Schemas['Me']
export type Graph = Schemas['Graph']
export type Presence = Schemas['Presence']
export type LogLine = Schemas['LogLine']
export type Found = Schemas['Found']

export const states = ['pending', 'running', 'waiting', 'succeeded', 'failed', 'skipped', 'cancelled'] as const
export type State = (typeof states)[number]

/** ended reports whether nothing follows a state. */
export const ended = (s: string | undefined): boolean => s === 'succeeded' || s === 'failed' || s === 'skipped' || s === 'cancelled'
