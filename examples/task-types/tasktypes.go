// Package tasktypes holds task types, as documents, for what data centres run beside their machines: NetBox,
// phpIPAM and Infoblox (addresses and names), ServiceNow (CMDB), Zabbix (monitoring), Foreman and Satellite.
// They are written from the vendors' documents, which each file names, and were not tried with the products.
// `tutti apply -f examples/task-types` brings them in.
package tasktypes

import "embed"

// Files are the documents.
//
//go:embed *.yaml
var Files embed.FS
