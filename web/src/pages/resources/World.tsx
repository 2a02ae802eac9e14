import type { Schemas } from '@/api/client'
import { useAction } from '@/api/hooks'
import { Button, Empty, Id, Panel, StateChip, Table, Time, ValuesAndJson, type Column } from '@/kit'

type Change = Schemas['FieldChange']

const drift: Column<Change>[] = [
  { key: 'path', title: 'Field', cell: (c) => <code>{c.path}</code>, sort: (c) => c.path },
  { key: 'before', title: 'As it was made', cell: (c) => <code>{JSON.stringify(c.before)}</code> },
  { key: 'after', title: 'In the world', cell: (c) => <code>{JSON.stringify(c.after)}</code> },
]

/** World is what a resource is in the world: as its run left it, and as it was last seen. */
export function World({ resource: r }: { resource: Schemas['Resource'] }) {
  const look = useAction('/v1/namespaces/{namespace}/resources/{type}/{name}/observe', { done: 'Somebody is looking', refresh: ['/v1/namespaces/{namespace}/resources/{type}/{name}'] })
  const o = r.observed
  return (
    <>
      {(r.actions ?? []).includes('observe') && (
        <Panel
          title="As it was last seen"
          actions={
            <Button perm="run.start" busy={look.isPending} onClick={() => look.mutate({ path: { type: r.type, name: r.name } })}>
              Look now
            </Button>
          }
        >
          {!o && <Empty title="Nobody has looked yet" cli={`tutti resource observe ${r.type} ${r.name}`} />}
          {o && (
            <div className="stack wide">
              <p>
                <StateChip state={o.state} /> <Time at={o.at} /> by run <Id id={o.run} to={`/runs/${o.run}`} /> {o.failure}
              </p>
              {o.state === 'succeeded' && (o.drift ?? []).length === 0 && <p>It is as it was made.</p>}
              {(o.drift ?? []).length > 0 && <Table label="Drift" columns={drift} rows={(o.drift ?? []) as Change[]} rowKey={(c) => c.path} />}
              {o.world !== undefined && <ValuesAndJson value={o.world} label="What was seen" />}
            </div>
          )}
        </Panel>
      )}
      {r.outputs ? (
        <>
          <p className="dim">What the run that built it read back, in its outputs.</p>
          <Panel>
            <ValuesAndJson value={r.outputs} label="Outputs" />
          </Panel>
        </>
      ) : (
        <Empty title="No run has given anything back yet">The outputs of the run that builds it stand here.</Empty>
      )}
    </>
  )
}
