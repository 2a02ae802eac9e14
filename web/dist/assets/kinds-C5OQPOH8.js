var e={Workflow:`Workflow`,ResourceType:`Resource type`,Preset:`Preset`,TaskType:`Task type`,View:`View`,Trigger:`Trigger`};function t(e){return`/workflows/${encodeURIComponent(e.name)}${e.kind===`Workflow`?``:`?kind=${e.kind}`}`}var n={Workflow:`kind: Workflow
name: NAME
title: What it does, in a line

inputs:
  type: object
  required: [name]
  properties:
    name: { type: string, title: Name }

tasks:
  first:
    title: What this step does
    use: noop
    with: { text: "Hello \${{ inputs.name }}" }

outputs:
  text: \${{ tasks.first.out.text }}
`,ResourceType:`kind: ResourceType
name: NAME
title: What people ask for
description: What they get, in a line or two

schema:
  type: object
  required: [name]
  properties:
    name: { type: string, title: Name }

workflow: WORKFLOW
inputs: { resource: "\${{ spec }}" }
`,Preset:`kind: Preset
name: NAME
of: RESOURCE-TYPE
title: What people ask for
set: {}
`,TaskType:`kind: TaskType
name: NAME
title: What it does
`,View:`kind: View
name: NAME
system: vcenter
with:
  url: \${{ secrets.vcenter_url }}
  user: \${{ secrets.vcenter_user }}
  password: \${{ secrets.vcenter_password }}
refresh: 5m
`,Trigger:`kind: Trigger
name: NAME
match: { alertname: HighLoad }
request: { entry: ENTRY, params: { name: "web-\${{ n }}" } }
ceiling: 3
cooldown: 15m
resolved: nothing
`};function r(e){return n[e]??n.Workflow}function i(e){return/^name:\s*["']?([^\s"'#]+)/m.exec(e)?.[1]??``}export{r as i,i as n,t as r,e as t};