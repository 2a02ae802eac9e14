<<<<<<<< HEAD:web/dist/assets/catalogue-C0OvQilR.js
import{l as e,v as t}from"./index-BL8jt5EC.js";function n(){let e=t(`/v1/namespaces/{namespace}/requests/stats`,{},{staleTime:6e4,retry:!1});return new Map((e.data?.entries??[]).map(e=>[e.entry,e]))}function r(t){return t?.p50?e(t.p50):void 0}export{r as n,n as t};
========
import{l as e,v as t}from"./index-CHdXeeXT.js";function n(){let e=t(`/v1/namespaces/{namespace}/requests/stats`,{},{staleTime:6e4,retry:!1});return new Map((e.data?.entries??[]).map(e=>[e.entry,e]))}function r(t){return t?.p50?e(t.p50):void 0}export{r as n,n as t};
>>>>>>>> d81fe62 (Build the web UI with the trial run of an order, its plan drawn as that of an approval):web/dist/assets/catalogue-BDCccHSi.js
